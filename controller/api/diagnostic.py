"""Something is wrong, or worth knowing: one type from the reader of files to the line that people read.

Every stage makes `Diagnostic`s of what it knows: the schema of fields, the translator of objects, the reader of files
and lines. Whoever hands them on adds what is missing, and changes nothing else. Codes are a closed set; programs may
rely on them (`sluicegate check --output json`); `docs/diagnostics.md` says what each means.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .meta import ObjectKey, Origin
from .names import readable

#: `error`: something asked for does not work; `warning`: it works, but not as written; `info`: people may want to know.
Severity = Literal["error", "warning", "info"]

_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}

#: What is wrong, in a word for programs; the table of all is `docs/diagnostics.md`.
Code = Literal[
    # Reading: files, documents, the schema of the API server.
    "unreadable",
    "emptied",
    "duplicate",
    "invalid",
    "schema",
    "rule",
    "unknown-field",
    "unknown-kind",
    "unknown-version",
    "unread-kind",
    "other-file",
    "no-objects",
    "not-verified",
    "fault",
    # Gateways, listeners and what they refer to.
    "class-missing",
    "foreign-class",
    "invalid-parameters",
    "unsupported-address",
    "unusable-address",
    "address-taken",
    "no-address-left",
    "port-unavailable",
    "bind-failed",
    "duplicate-name",
    "listener-conflict",
    "listener-filter",
    "listener-set-not-allowed",
    "invalid-route-kind",
    "unsupported-protocol",
    "hostname-ignored",
    "tls-ignored",
    "options-ignored",
    "client-validation-ignored",
    "invalid-certificate-ref",
    "invalid-ca-certificate-ref",
    "secret-type",
    "certificate-name",
    "certificate-expires",
    "certificate-expired",
    "certificate-not-yet-valid",
    # Routes and backends.
    "no-parent",
    "foreign-parent",
    "no-matching-parent",
    "not-allowed-by-listeners",
    "no-matching-listener-hostname",
    "invalid-hostname",
    "incompatible-filters",
    "unsupported-value",
    "unsupported-field",
    "managed-header",
    "repeated-header",
    "retry-not-repeatable",
    "unreachable-rule",
    "shadowed-route",
    "over-budget",
    "no-backends",
    "no-weight",
    "unused-backends",
    "invalid-kind",
    "filter-ref-not-found",
    "backend-not-found",
    "ref-not-permitted",
    "no-endpoints",
    "invalid-endpoint",
    "unsupported-addresses",
    "plain-text-to-tls-port",
    "path-normalization",
    "unused-object",
    # Policies.
    "invalid-policy",
    "target-not-found",
    "policy-conflict",
    "unused-policy",
    "policy-part-unused",
    "not-traced",
    "shorter-timeout",
    "no-client-validation",
    "no-credential",
    "policy-ref-not-found",
    "invalid-policy-ref",
    "weak-credential",
    "unusable-key",
    "denies-without-asking",
    "trusts-everybody",
    "foreign-policy",
    "ancestor-limit",
    # Ingresses that are served.
    "ingress-loss",
    "ingress-difference",
    # What the gateway does about it.
    "held",
    "refused",
]


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the author of an object should know.

    Attributes:
        path: file; `-` for standard input, `cluster` for what the API server told; empty where that is not known (yet).
        line: 1-based; 0 where the whole file is meant, or it is not known (yet).
        severity: see `Severity`.
        object: such as `HTTPRoute/default/shop`; empty where no object could be read, or it is not known (yet).
        field: path as in the API, such as `spec.rules[0].matches[1].path.value`; empty for the whole object.
        code: see `Code`.
        message: what is wrong.
        remedy: what to do; empty where the message says it.
    """

    path: str = ""
    line: int = 0
    severity: Severity
    object: str = ""
    field: str = ""
    code: Code
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{Origin(self.path, self.line)}: " if self.path else ""
        return f"{place}{self.severity}: {self.text}"

    @property
    def text(self) -> str:
        """Object, field, message and remedy, without the place."""
        about = "".join(f"{part}: " for part in (readable(self.object), self.field) if part)
        return f"{about}{self.message}{f'; {self.remedy}' if self.remedy else ''}"

    def order(self) -> tuple[str, int, int, str, str, str, str, str]:
        """Sort by place, then by weight: a stable order for people."""
        weight = _RANK[self.severity]
        return (self.path, self.line, weight, self.object, self.field, self.code, self.message, self.remedy)


def placed_at(item: Diagnostic, origin: Origin, *, about: str | None = None) -> Diagnostic:
    """The same at a place in a file; `about`: of this object."""
    named = item.object if about is None else about
    return msgspec.structs.replace(item, path=origin.path, line=origin.line, object=named)


class Diagnostics:
    """Collects what is told about one object."""

    def __init__(self, key: ObjectKey) -> None:
        """Begin with nothing."""
        self._object = str(key)
        self._items: dict[Diagnostic, None] = {}

    def error(self, field: str, code: Code, message: str, remedy: str) -> None:
        """Note something that does not work."""
        self._add("error", field, code, message, remedy)

    def warning(self, field: str, code: Code, message: str, remedy: str) -> None:
        """Note something that does not work as written."""
        self._add("warning", field, code, message, remedy)

    def info(self, field: str, code: Code, message: str, remedy: str) -> None:
        """Note something that people may want to know."""
        self._add("info", field, code, message, remedy)

    def done(self) -> tuple[Diagnostic, ...]:
        """All so far."""
        return tuple(self._items)

    def _add(self, severity: Severity, field: str, code: Code, message: str, remedy: str) -> None:
        found = Diagnostic(
            severity=severity, object=self._object, field=field, code=code, message=message, remedy=remedy
        )
        self._items[found] = None  # what holds for several listeners is told once
