"""The provider: reads all groups of annotations of an Ingress, in one order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from ...api.ingress import Ingress
from ..expressions import CLIENT, PORT, SCHEME
from ..features import AppRoot, Feature, HttpsRedirect, Redirect, RegexPaths, Rewrite, WwwRedirect
from ..losses import Ledger
from ..provider import Traits
from ..reading import Reading
from ..rows import Annotation, Setting
from ..settings import Settings
from .gateway import of_gateway
from .groups import (
    access,
    balancing,
    basic,
    bodies,
    canary,
    ciphers,
    client_tls,
    cors,
    errors,
    external,
    headers,
    hosts,
    limits,
    mirror,
    observability,
    protocol,
    redirects,
    responses,
    retry,
    rewrite,
    sessions,
    snippets,
    timeouts,
)
from .settings import SETTINGS
from .table import ANNOTATIONS, INVENTED, ROWS

#: Reads the annotations of a group.
Read = Callable[[Reading], Iterable[Feature]]

#: By the name that the rows of the table have.
GROUPS: dict[str, Read] = {
    "canary": canary.read,
    "redirects": redirects.read,
    "rewrite": rewrite.read,
    "hosts": hosts.read,
    "protocol": protocol.read,
    "headers": headers.read,
    "cors": cors.read,
    "access": access.read,
    "basic": basic.read,
    "external": external.read,
    "client_tls": client_tls.read,
    "ciphers": ciphers.read,
    "limits": limits.read,
    "bodies": bodies.read,
    "timeouts": timeouts.read,
    "retry": retry.read,
    "sessions": sessions.read,
    "balancing": balancing.read,
    "mirror": mirror.read,
    "errors": errors.read,
    "responses": responses.read,
    "observability": observability.read,
    "snippets": snippets.read,
}
#: The group that is read of a canary: all else is what the other Ingress says.
_CANARY = "canary"

_STRICT_PATH = re.compile(r"/[A-Za-z0-9._\-/]*", re.ASCII)


class Nginx:
    """See `provider.Provider`."""

    name = "nginx"
    title = "ingress-nginx"
    prefix = "nginx.ingress.kubernetes.io/"
    owned: tuple[str, ...] = (prefix,)
    ignores_case = False
    controllers: tuple[str, ...] = ("k8s.io/ingress-nginx",)
    ingress_class = "nginx"
    annotations: Mapping[str, Annotation] = ANNOTATIONS
    rows: Mapping[str, Annotation] = ROWS
    invented: Mapping[str, str] = INVENTED
    settings: Mapping[str, Setting] = SETTINGS
    traits = Traits(
        shows_certificate=True,
        answers_everywhere=True,
        adds_slash=True,
        splits_prefixes=True,
        field_first=True,
        last_name_first=True,
        takes_target_ports=True,
        has_port_maps=True,
        forwarding=(
            ("X-Real-IP", CLIENT),
            ("X-Forwarded-Port", PORT),
            ("X-Forwarded-Scheme", SCHEME),
            ("X-Scheme", SCHEME),
        ),
        # "Redirect and rewrite can affect the catch all behavior, skip for now" (`createServers`)
        not_of_all_hosts=(AppRoot, HttpsRedirect, Redirect, RegexPaths, Rewrite, WwwRedirect),
    )

    def read(self, reading: Reading) -> Iterator[Feature]:
        """The features of an Ingress; tells what cannot be read."""
        found = list(GROUPS[_CANARY](reading))
        yield from found
        if found:
            self._tell_ignored(reading)
            return
        for name, read in GROUPS.items():
            yield from read(reading) if name != _CANARY else ()

    def _tell_ignored(self, reading: Reading) -> None:
        """Of a canary all other annotations are ignored (`mergeAlternativeBackends`)."""
        for name, row in ANNOTATIONS.items():
            if row.group != _CANARY:
                reading.tell(name, "dropped-harmless", "ingress-nginx ignores it on a canary: the other Ingress has it")

    def of_service(self, _reading: Reading, _service: str) -> Iterable[Feature]:
        """Nothing: an annotation is about all Services of its Ingress."""
        return ()

    def refused_host(self, _ingress: Ingress, _owner: Ingress | None) -> str:
        """Any Ingress may have a part in a host."""
        return ""

    def rank(self, _ingress: Ingress) -> int:
        """The oldest goes first."""
        return 0

    def of_gateway(self, settings: Settings, ledger: Ledger) -> Iterator[Feature]:
        """The features of the whole Gateway."""
        return of_gateway(settings, ledger)

    def refused_path(self, kind: str, path: str, settings: Settings) -> str:
        """Why a path would not be served; empty: it would."""
        if not path.startswith("/"):
            return f"the path {path} does not begin with /"
        strict = settings.flag("strict-validate-path-type") and kind in {"Exact", "Prefix"}
        if strict and not _STRICT_PATH.fullmatch(path):
            return f"{path} has characters that a path of the type {kind} must not have (strict-validate-path-type)"
        return ""


NGINX = Nginx()
