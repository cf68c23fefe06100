"""Collects manifests: what several Ingresses have a part in is put together here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...api.ingress import Ingress
from .. import values
from ..inventory import Inventory
from ..losses import Cause, Ledger
from ..options import Options
from ..provider import Provider
from .manifest import OWN_KINDS, VERSIONS, Manifest, Names, unique

GATEWAY_GROUP = "gateway.networking.k8s.io"
#: Targets that a policy may have.
MAX_TARGETS = 16
#: Whom a ReferenceGrant lets refer.
MAX_SOURCES = 16

Target = dict[str, str]
_T = TypeVar("_T")


@dataclass(slots=True)
class PolicyDraft:
    """A policy whose parts come from several features.

    Attributes:
        kind: of it.
        namespace: of it.
        name: of it.
        targets: what it is attached to.
        parts: of its spec.
        causes: of each part.
    """

    kind: str
    namespace: str
    name: str
    targets: list[Target]
    parts: dict[str, Any] = field(default_factory=dict)
    causes: dict[str, tuple[Cause, ...]] = field(default_factory=dict)


class Output:
    """What is made, while it is made.

    Attributes:
        options: of the conversion.
        inventory: what is in hand.
        provider: whose Ingresses they are.
        ledger: takes what is told.
        names: of what is made.
    """

    def __init__(self, options: Options, provider: Provider, inventory: Inventory, ledger: Ledger) -> None:
        """Begin with nothing."""
        self.options = options
        self.provider = provider
        self.inventory = inventory
        self.ledger = ledger
        self.names = Names(virtual=options.virtual)
        self._manifests: list[Manifest] = []
        self._policies: dict[tuple[str, str, str], PolicyDraft] = {}
        self._once: set[tuple[str, str, str]] = set()
        self._grants: dict[tuple[str, str, str], dict[tuple[str, str, str], tuple[Cause, ...]]] = {}
        self._filters: dict[str, dict[str, Manifest]] = {}

    def add(self, manifest: Manifest) -> None:
        """Take an object."""
        self._manifests.append(manifest)

    def once(self, manifest: Manifest) -> None:
        """Take an object, unless it is there already."""
        key = (manifest.kind, manifest.namespace, manifest.name)
        if key not in self._once:
            self._once.add(key)
            self.add(manifest)

    def allows(self, kind: str, causes: Iterable[Cause], host: str = "") -> bool:
        """Whether an object of a kind may be made; it is told where only the standard is wanted."""
        if kind not in OWN_KINDS or not self.options.standard_only:
            return True
        for cause in causes:
            message = f"the Gateway API has nothing for it, and a {kind} is not wanted (--standard-only)"
            self.ledger.tell(cause, "no-equivalent", message, "convert without --standard-only", host=host)
        return False

    def fitting(self, items: Sequence[_T], limit: int, what: str, cause: Cause, host: str = "") -> list[_T]:
        """Items as far as there is room for them; the others are told.

        Args:
            items: of a list.
            limit: of the list.
            what: they are.
            cause: where they come from.
            host: that it is about.
        """
        if len(items) > limit:
            message = f"{len(items):,} {what}: there is room for {limit:,}, and the others are left out"
            self.ledger.tell(cause, "no-equivalent", message, "write fewer, such as by wider ones", host=host)
        return list(items[:limit])

    def at_most(self, value: int, limit: int, what: str, cause: Cause) -> int:
        """A figure, or the greatest that there may be, which is told.

        Args:
            value: the figure.
            limit: the greatest one.
            what: it is.
            cause: where it comes from.
        """
        if value > limit:
            message = f"{what} of {value:,}: at most {limit:,} is taken, and holds"
            self.ledger.tell(cause, "converted-with-difference", message)
        return min(value, limit)

    def at_most_time(self, milliseconds: int, limit: int, what: str, cause: Cause) -> str:
        """A time as it is written, or the longest that there may be, which is told.

        Args:
            milliseconds: the time.
            limit: the longest one.
            what: it is.
            cause: where it comes from.
        """
        if milliseconds > limit:
            message = f"{what} of {milliseconds // 1000:,} s: at most {values.duration(limit)} is taken, and holds"
            self.ledger.tell(cause, "converted-with-difference", message)
        return values.duration(min(milliseconds, limit))

    def filter(self, ingress: Ingress, label: str, spec: dict[str, Any], causes: tuple[Cause, ...]) -> str | None:
        """The name of an HTTPFilter that says this; None: it may not be made."""
        if not self.allows("HTTPFilter", causes):
            return None
        made, key = self._filters.setdefault(str(ingress.key), {}), repr(spec)
        if key not in made:
            name = self.names.give(
                "HTTPFilter", ingress.namespace, ingress.name, f"{label}-{len(made)}" if made else label
            )
            made[key] = Manifest("HTTPFilter", ingress.namespace, name, spec, causes={"spec": causes})
            self.add(made[key])
        return made[key].name

    def policy(
        self,
        kind: str,
        namespace: str,
        name: str,
        targets: list[Target],
        part: str,
        value: Any,  # noqa: ANN401 (any part of a spec)
        causes: tuple[Cause, ...],
    ) -> None:
        """Take a part of a policy; the first of two that differ holds, and the other is told."""
        if not self.allows(kind, causes):
            return
        key = (kind, namespace, name)
        draft = self._policies.setdefault(key, PolicyDraft(kind, namespace, name, []))
        draft.targets += [item for item in targets if item not in draft.targets]
        if part not in draft.parts:
            draft.parts[part], draft.causes[part] = value, causes
        elif draft.parts[part] != value:
            kept = draft.causes[part][0]
            message = f"{namespace}/{name} has other {part} already ({kept.object}, {kept.place}): these hold for both"
            remedy = "a policy of a Service holds for all routes to it: give them Services of their own"
            self.ledger.tell(causes[0], "converted-with-difference", message, remedy)
        else:
            draft.causes[part] = unique((*draft.causes[part], *causes))

    def grant(
        self, source: tuple[str, str, str], kind: str, namespace: str, name: str, causes: tuple[Cause, ...]
    ) -> None:
        """Let objects of another namespace refer to one.

        Args:
            source: group, kind and namespace of what refers.
            kind: of what is referred to.
            namespace: of it.
            name: of it.
            causes: why.
        """
        if source[2] == namespace:
            return
        found = self._grants.setdefault((namespace, kind, name), {})
        found[source] = unique((*found.get(source, ()), *causes))

    def done(self) -> Iterator[Manifest]:
        """All manifests, in their order."""
        policies = [made for draft in self._policies.values() for made in _policies(draft)]
        yield from sorted([*self._manifests, *policies, *self._granted()], key=Manifest.order)

    def _granted(self) -> Iterator[Manifest]:
        for (namespace, kind, name), sources in self._grants.items():
            every = sorted(sources)
            for start in range(0, len(every), MAX_SOURCES):
                ordered = every[start : start + MAX_SOURCES]
                content = {
                    "from": [{"group": group, "kind": each, "namespace": other} for group, each, other in ordered],
                    "to": [{"group": VERSIONS.get(kind, "").rpartition("/")[0], "kind": kind, "name": name}],
                }
                causes = {f"spec.from[{number}]": sources[source] for number, source in enumerate(ordered)}
                part = f"{start // MAX_SOURCES + 1:02}" if start else ""
                own = self.names.give("ReferenceGrant", namespace, name, part)
                yield Manifest("ReferenceGrant", namespace, own, content, causes=causes)


def _policies(draft: PolicyDraft) -> Iterator[Manifest]:
    """A policy, or several where it has more targets than one may have."""
    for number, start in enumerate(range(0, len(draft.targets), MAX_TARGETS)):
        name = draft.name if not number else f"{draft.name}-{number + 1}"
        content = {"targetRefs": draft.targets[start : start + MAX_TARGETS], **draft.parts}
        causes = {f"spec.{part}": found for part, found in draft.causes.items()}
        yield Manifest(draft.kind, draft.namespace, name, content, causes=causes)


def route_target(kind: str, name: str) -> Target:
    """A route, as a policy names it."""
    return {"group": GATEWAY_GROUP, "kind": kind, "name": name}
