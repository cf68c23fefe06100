"""What answers to requests may differ in where an annotation or a field is told as a loss: by its group, or by itself.

A loss that says so itself (`Loss.touches`) goes before this. `ingress` counts of Ingresses alone that ingress-nginx
leaves out. What no answer to one request shows (times, sessions, endpoints) touches nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..losses import Aspect, Loss
from .table import ROWS

_PREFIX = "nginx.ingress.kubernetes.io/"

#: By the group of the annotation, where what is told is about the very Ingress.
_GROUPS: Mapping[str, tuple[Aspect, ...]] = {
    "canary": ("backend",),
    "redirects": ("redirect", "redirect-status", "redirect-query", "closed", "ingress"),
    "rewrite": ("target", "path", "redirect", "closed"),
    "hosts": ("host", "reach"),
    "protocol": ("closed",),
    "headers": ("authority", "request-fields", "answer-fields", "status"),
    "cors": ("preflight", "answer-fields"),
    "access": ("access", "closed", "status"),
    "basic": ("access", "closed", "status"),
    "external": ("access", "closed", "status", "ingress"),
    "client_tls": ("access", "closed", "status"),
    "limits": ("limits", "ingress"),
    "mirror": ("mirror",),
    "snippets": (
        "snippet",
        "closed",
        "ingress",
        "access",
        "status",
        "redirect",
        "redirect-status",
        "request-fields",
        "answer-fields",
        "target",
    ),
}
#: Of these groups what is wrong closes the location: it answers 503 to all that comes.
_DENYING = frozenset({"access", "basic", "external", "client_tls", "headers"})
_ASKING = frozenset({"access", "basic", "external"})
_DENIED: tuple[Aspect, ...] = ("access", "closed", "status", "redirect", "redirect-status", "preflight")
#: Of what the table itself says of an annotation, whatever its value: it is less than the group's.
_ROWS: Mapping[str, tuple[Aspect, ...]] = {
    "app-root": ("redirect-query",),
    "permanent-redirect": ("redirect-query",),
    "temporal-redirect": ("redirect-query",),
    "ssl-passthrough": ("reach", "host"),
    "auth-tls-secret": ("access",),
    "auth-url": (),
    "auth-signin": (),
    "mirror-target": (),
}
#: Keys of the ConfigMap.
_SETTINGS: Mapping[str, tuple[Aspect, ...]] = {
    "whitelist-source-range": ("access", "closed", "status"),
    "denylist-source-range": ("access", "closed", "status"),
    "block-cidrs": ("access", "closed"),
    "block-user-agents": ("access",),
    "block-referers": ("access",),
    "global-auth-url": ("access", "closed"),
    "proxy-set-headers": ("request-fields",),
    "http-redirect-code": ("redirect-status",),
    "hsts-max-age": ("answer-fields",),
    "hide-headers": ("answer-fields",),
    "global-allowed-response-headers": ("answer-fields", "status", "closed"),
    "ignore-invalid-headers": ("request-fields", "status"),
    "enable-underscores-in-headers": ("request-fields",),
    "use-forwarded-headers": ("redirect", "access"),
    "server-snippet": ("snippet",),
    "location-snippet": ("snippet",),
    "http-snippet": ("snippet",),
}


#: Groups whose annotations are about a whole host, whichever of its Ingresses has them.
_OF_HOSTS = frozenset({"client_tls", "hosts"})


def is_of_host(loss: Loss) -> bool:
    """Whether a loss is about all Ingresses of a host."""
    row = ROWS.get(loss.subject.removeprefix(_PREFIX))
    return row is not None and row.group in _OF_HOSTS


def touched(loss: Loss) -> tuple[Aspect, ...]:
    """What answers may differ in because of a loss."""
    if loss.touches:
        return loss.touches
    name = loss.subject.removeprefix(_PREFIX)
    if name == "auth-snippet":
        return ("snippet", "ingress")
    if name == "auth-method":
        return _DENIED
    row = ROWS.get(name) if name != loss.subject else None
    if row is not None:
        own = loss.message == row.words
        if loss.fate == "invalid" and row.group in _DENYING:
            return (*_GROUPS[row.group], *_DENIED)
        if own and row.name in _ROWS:
            return _ROWS[row.name]
        # Such as a Secret that is not among the files: it is taken to be there.
        harmless = loss.fate == "converted-with-difference" and row.group in _ASKING
        return () if harmless else _GROUPS.get(row.group, ())
    return _SETTINGS.get(loss.subject, ())
