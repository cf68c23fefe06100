"""HTTPFilter: what the standard filters do not have (`docs/policies/HTTPFilter.md`)."""

from __future__ import annotations

from dataclasses import replace

from sluicegate import ir

from ...api import OWN_GROUP, ExtensionReference
from ..conditions import Reason
from ..unsupported import Absent, Unsupported
from .answers import error_pages, respond
from .context import OF_HTTP, FilterContext, FilterKind
from .headers import headers
from .mirrors import mirror
from .rewrites import rewrite
from .rule_policies import buffer, credential, fault, telemetry

KIND = "HTTPFilter"


def extension(reference: ExtensionReference | None, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """An ExtensionRef: the one part that its HTTPFilter has."""
    if reference is None or (reference.group, reference.kind) != (OWN_GROUP, KIND):
        label = f"{reference.group}/{reference.kind} {reference.name}" if reference is not None else "(none)"
        message = f"no filter of kind {label} is known"
        raise Unsupported(field, message, f"refer to an {KIND} of {OWN_GROUP}", Reason.INVALID_KIND)
    return extension_part(reference.name, field, context)


def extension_part(name: str, field: str, context: FilterContext) -> tuple[ir.Filter, ...]:
    """What the one part of an HTTPFilter comes to.

    Raises:
        Unsupported: it is not there, means nothing here, or cannot be honoured; the field is `field`.
    """
    label = f"{KIND} {name}"
    found = context.find(name)
    if found is None:
        message = f"{label} does not exist in the namespace of the {context.owner}"
        raise Absent(field, message, "create it or correct the name", Reason.INVALID_KIND)
    parts = [(kind, part) for kind in PARTS if (part := getattr(found.spec, kind.content)) is not None]
    if len(parts) != 1:
        names = ", ".join(kind.field for kind in PARTS)
        raise Unsupported(field, f"{label} has {len(parts)} parts", f"give it exactly one of {names}")
    [(kind, part)] = parts
    place = f"{label}, {kind.field}"
    if context.in_listener and not kind.in_listeners:
        where = "rule or the backendRef" if kind.in_backends else "rule"
        raise Unsupported(field, f"{place}: not supported in a listener", f"use it in the {where}")
    if not context.in_listener and context.owner not in kind.owners:
        raise Unsupported(field, f"{place}: not supported in a {context.owner}", "use it in an HTTPRoute")
    if context.in_backend and not kind.in_backends:
        raise Unsupported(field, f"{place}: not supported in a backendRef", "use it in the rule")
    try:
        return kind.translate(part, kind.field, replace(context, at=field))
    except Unsupported as error:
        message = f"{label}, {error.field}: {error.message}"
        raise type(error)(field, message, error.remedy, error.reason) from None


#: Parts of an HTTPFilter.
PARTS: tuple[FilterKind, ...] = (
    FilterKind("respond", "spec.respond", respond, OF_HTTP, in_backends=False, in_listeners=True),
    FilterKind("rewrite", "spec.rewrite", rewrite, OF_HTTP),
    FilterKind("headers", "spec.headers", headers, in_listeners=True),
    FilterKind("error_pages", "spec.errorPages", error_pages, OF_HTTP, in_backends=False, in_listeners=True),
    FilterKind("credential", "spec.credential", credential),
    FilterKind("fault", "spec.fault", fault, in_backends=False, in_listeners=True),
    FilterKind("buffer", "spec.buffer", buffer, OF_HTTP, in_backends=False, in_listeners=True),
    FilterKind("mirror", "spec.mirror", mirror, OF_HTTP),
    FilterKind("telemetry", "spec.telemetry", telemetry, in_backends=False, in_listeners=True),
)
