"""What is said of a kind in `kinds`: where it lives in the API, what it is to us, what we may do with it and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from .meta import Object
from .names import Naming

#: What a kind is to us. topology: Gateways are made of it; route, policy: as the Gateway API says; reference: others
#: refer to it; provisioned: made for Gateways, and read only for that; own: the controller's, written and not watched.
Role = Literal["topology", "route", "policy", "reference", "provisioned", "own"]

READ = ("get", "list", "watch")
_BY_NAME = "metadata.name="


class Permission(NamedTuple):
    """Verbs on a kind, and what for.

    Attributes:
        verbs: of RBAC.
        why: half a sentence, for the manifests and their documentation.
        part: a subresource; empty: the objects.
        names: of the only objects that are meant; empty: all.
        own: only in the namespace that the controller runs in.
        node: the all-in-one `node` needs it as well as the controller.
    """

    verbs: tuple[str, ...]
    why: str
    part: str = ""
    names: tuple[str, ...] = ()
    own: bool = False
    node: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind.

    Attributes:
        name: the kind.
        plural: name in paths.
        role: what it is to us.
        group: API group; empty: that of Kubernetes' core.
        versions: those that are read, of one shape as far as it is read; the newest, which is asked for first, first.
        struct: what is read of it; None: nothing.
        namespaced: objects live in namespaces.
        naming: what its names are.
        reads: why it is read; empty: it is not.
        status: why its status is written; empty: it is not.
        provisions: why it is made for Gateways; empty: it is not.
        counted: its status counts routes, so it is written at a pace.
        permissions: what else may be done with it.
        required: the gateway cannot do without it; others may be missing from a cluster (older or fewer CRDs).
        minor: only statuses tell of it: where it may not be watched, nothing waits for it.
        files: it is read from files as well; False: there it is other programs' business.
        node: the all-in-one `node`, which provisions nothing, reads it as well.
        selector: field selector of the watch.
        labels: label selector of the watch.
        remedy: what to do where the cluster has none of its versions.
    """

    name: str
    plural: str
    role: Role
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    struct: type[Object] | None = None
    namespaced: bool = True
    naming: Naming = "subdomain"
    reads: str = ""
    status: str = ""
    provisions: str = ""
    counted: bool = False
    permissions: tuple[Permission, ...] = ()
    required: bool = True
    minor: bool = False
    files: bool = True
    node: bool = True
    selector: str = ""
    labels: str = ""
    remedy: str = "install the Gateway API's CRDs"

    @property
    def api_versions(self) -> tuple[str, ...]:
        """`apiVersion` as it is written in objects, the newest first."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)

    @property
    def granted(self) -> tuple[Permission, ...]:
        """Everything that may be done with it."""
        found = []
        if self.reads:
            by_name = self.selector.startswith(_BY_NAME)
            names = (self.selector.removeprefix(_BY_NAME),) if by_name else ()
            found.append(Permission(READ, self.reads, names=names, node=self.node))
        if self.status:
            found.append(Permission(("patch",), self.status, "status"))
        if self.provisions:
            found.append(Permission(("create", "patch", "delete"), self.provisions, node=False))
        return (*found, *self.permissions)
