"""Filters of a listener (GEP-5224) to IR filters: edits that come before a rule is looked for.

A filter is never skipped: a listener whose filters cannot be honoured is not served. The reasons of its conditions are
those of the GEP. What `extensionRef` may lead to is a RequestHeaderFilter in the namespace of the listener's object. An
ExternalAuth comes to a policy of the listener, which no policy and no filter of a rule replaces.
"""

from __future__ import annotations

from sluicegate import ir

from ..api import (
    OWN_GROUP,
    BackendReference,
    Diagnostics,
    LocalObjectReference,
    ObjectKey,
    RequestHeaderFilter,
    RouteFilter,
)
from ..api.gateway import ListenerFilter
from .backends import resolve_backend
from .conditions import ConditionType, Reason
from .external_auth import external_service
from .filters import FilterContext, translate_filters
from .policies.draft import ASKED, MaterialReads
from .secrets import Material
from .status import Verdict
from .unsupported import Unsupported

KIND = "RequestHeaderFilter"
EXTERNAL_AUTH = "ExternalAuth"
#: The listener was chosen by it, so it must stay (`ListenerFilters.requests`).
AUTHORITY = frozenset({"host", ":authority"})


class Refused(Exception):  # noqa: N818 (a verdict on an object, not an error of the program)
    """A filter that cannot be honoured.

    Attributes:
        condition: of the listener, that becomes False.
        verdict: its reason and message.
        field: relative to the list.
        remedy: what to do.
    """

    def __init__(self, condition: ConditionType, reason: Reason, field: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.condition = condition
        self.verdict = Verdict(False, reason, f"filters.{field}: {message}")
        self.field = field
        self.remedy = remedy


def translate_listener_filters(
    filters: tuple[ListenerFilter, ...],
    owner: ObjectKey,
    path: str,
    material: Material,
    diagnostics: Diagnostics,
) -> tuple[ir.RequestHeaders, ...]:
    """Translate the edits of `filters.requests`, in the order written, which is the order in which they act.

    Args:
        filters: as written.
        owner: the object that the listener is written in.
        path: field of the listener.
        material: finds what is referred to.
        diagnostics: takes warnings about what is edited.

    Raises:
        Refused: one of them cannot be honoured.
    """
    return tuple(
        _translate(item, owner.namespace, f"requests[{index}]", path, material, diagnostics)
        for index, item in enumerate(filters)
        if item.type != EXTERNAL_AUTH
    )


def listener_external_auth(
    filters: tuple[ListenerFilter, ...], owner: ObjectKey, identifier: str, material: Material
) -> ir.ExternalAuth | None:
    """The policy that an ExternalAuth among `filters.requests` comes to. It is asked once a request has its rule.

    Args:
        filters: as written.
        owner: the object that the listener is written in.
        identifier: IR id of the listener.
        material: finds what is referred to.

    Raises:
        Refused: it cannot be honoured, or there are two.
    """
    found = [(index, item) for index, item in enumerate(filters) if item.type == EXTERNAL_AUTH]
    if not found:
        return None
    index, item = found[0]
    field = f"requests[{index}]"
    if len(found) > 1:
        message = f"{EXTERNAL_AUTH} is given more than once"
        raise Refused(
            ConditionType.ACCEPTED, Reason.UNSUPPORTED_VALUE, f"requests[{found[1][0]}]", message, "keep one of them"
        )
    if item.external_auth is None:
        raise Refused(
            ConditionType.ACCEPTED, Reason.UNSUPPORTED_VALUE, field, "the filter has no content", "give externalAuth"
        )

    def resolve(reference: BackendReference, at: str) -> str | None:
        # What is wrong is told of the listener, by what is raised.
        unheard = Diagnostics(owner)
        backend, verdict = resolve_backend(owner, reference, ASKED, at, MaterialReads(material), unheard)
        if verdict is not None:
            raise Refused(
                ConditionType.RESOLVED_REFS,
                Reason.INVALID_LISTENER_FILTER_REF,
                at,
                verdict.message,
                "correct the reference, or allow it by a ReferenceGrant",
            )
        return backend

    try:
        service = external_service(item.external_auth, f"{field}.externalAuth", resolve)
    except Unsupported as error:
        reason = Reason.INVALID_LISTENER_FILTER
        raise Refused(ConditionType.ACCEPTED, reason, error.field, error.message, error.remedy) from None
    return ir.ExternalAuth(id=f"{identifier}/{ir.ExternalAuth.stanza}", overrides=True, service=service)


def _translate(
    item: ListenerFilter,
    namespace: str,
    field: str,
    path: str,
    material: Material,
    diagnostics: Diagnostics,
) -> ir.RequestHeaders:
    reference = item.extension_ref
    if item.type != "ExtensionRef" or reference is None:
        message = f"filter {item.type} is not supported"
        raise Refused(
            ConditionType.ACCEPTED,
            Reason.UNSUPPORTED_VALUE,
            f"{field}.type",
            message,
            f"use an ExtensionRef to a {KIND}",
        )
    found = _resolve(reference, namespace, f"{field}.extensionRef", material)
    label = f"{KIND} {namespace}/{reference.name}"
    names = [item.name for item in (*found.spec.set, *found.spec.add)] + [*found.spec.remove]
    if any(name.lower() in AUTHORITY for name in names):
        message = f"{label} edits the host, which a filter of a listener must leave alone"
        raise Refused(
            ConditionType.ACCEPTED, Reason.INVALID_LISTENER_FILTER, f"{field}.extensionRef", message, "remove that edit"
        )
    context = FilterContext(
        path=f"{path}.filters.{field}.extensionRef",
        prefix_only=False,
        in_backend=False,
        owner=KIND,
        resolve=lambda _reference, _path: None,
        diagnostics=diagnostics,
    )
    edit = RouteFilter(type="RequestHeaderModifier", request_header_modifier=found.spec)
    try:
        [translated] = translate_filters((edit,), context)
    except Unsupported as error:
        message = f"{label}: {error.message}"
        raise Refused(
            ConditionType.ACCEPTED, Reason.INVALID_LISTENER_FILTER, f"{field}.extensionRef", message, error.remedy
        ) from None
    if not isinstance(translated, ir.RequestHeaders):  # pragma: no cover (it is what was asked for)
        raise TypeError(translated)
    return translated


def _resolve(reference: LocalObjectReference, namespace: str, field: str, material: Material) -> RequestHeaderFilter:
    if reference.group != OWN_GROUP or reference.kind != KIND:
        message = f"no filter of kind {reference.group or 'core'}/{reference.kind} is known"
        raise Refused(
            ConditionType.RESOLVED_REFS,
            Reason.INVALID_LISTENER_FILTER_REF,
            field,
            message,
            f"refer to a {KIND} of {OWN_GROUP}",
        )
    material.reads.add((KIND, namespace, reference.name))
    found = material.snapshot.table(KIND).get((namespace, reference.name))
    if not isinstance(found, RequestHeaderFilter):
        message = f"{KIND} {namespace}/{reference.name} does not exist"
        raise Refused(
            ConditionType.RESOLVED_REFS,
            Reason.INVALID_LISTENER_FILTER_REF,
            field,
            message,
            "create it or correct the name",
        )
    return found
