"""Filters of a listener (GEP-5224) to IR filters and policies: what holds for all of its requests.

A filter is never skipped: a listener whose filters cannot be honoured is not served. The reasons of its conditions are
those of the GEP. What `extensionRef` may lead to is in the namespace of the listener's object: a RequestHeaderFilter,
whose edits come before a rule is looked for, or an HTTPFilter. An ExternalAuth comes to a policy of the listener, which
no policy and no filter of a rule replaces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from sluicegate import ir

from ..api import (
    OWN_GROUP,
    BackendReference,
    ConfigMap,
    Diagnostics,
    HTTPFilter,
    LocalObjectReference,
    Object,
    ObjectKey,
    RequestHeaderFilter,
    Secret,
)
from ..api.gateway import ListenerFilter
from .backends import resolve_backend
from .conditions import ConditionType, Reason
from .external_auth import external_service
from .filters import FilterContext, check_together
from .filters.headers import check_before_routing, request_headers
from .filters.http_filter import KIND as HTTP_FILTER
from .filters.http_filter import extension_part
from .policies.draft import ASKED, MaterialReads
from .secrets import Material
from .status import Verdict
from .unsupported import Unsupported

REQUEST_HEADERS = "RequestHeaderFilter"
EXTERNAL_AUTH = "ExternalAuth"
#: What acts on requests, in the order in which it does, and what is said of it. What acts on responses is not among it.
_STEPS: tuple[tuple[type, str], ...] = (
    (ir.RequestHeaders, "edits of requests"),
    (ir.ExternalAuth, f"questions by {EXTERNAL_AUTH}"),
    (ir.FilterFault, "faults"),
    (ir.FilterBuffer, "buffers"),
    (ir.Respond, "answers"),
)


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


@dataclass(slots=True)
class MadeOfFilters:
    """What the filters of a listener come to.

    Attributes:
        filters: in the order written, which is the order in which they act.
        policies: who asks, waits or stands in for errors is no filter of the engine.
        unresolved: a reference that leads nowhere, without which they go on.
    """

    filters: list[ir.ListenerFilter] = field(default_factory=list)
    policies: list[ir.StanzaBase] = field(default_factory=list)
    unresolved: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a filter is written.

    Attributes:
        owner: the object that the listener is written in.
        path: field of the listener.
        identifier: its IR id.
        material: finds what is referred to.
        diagnostics: takes warnings.
        made: takes what the filters come to.
    """

    owner: ObjectKey
    path: str
    identifier: str
    material: Material
    diagnostics: Diagnostics
    made: MadeOfFilters = field(default_factory=MadeOfFilters)

    def context(self, at: str) -> FilterContext:
        """Say where it is; `at`: relative to `filters`."""
        namespace = self.owner.namespace
        return FilterContext(
            path=f"{self.path}.filters",
            prefix_only=False,
            in_backend=False,
            in_listener=True,
            owner=self.owner.kind,
            resolve=self.resolve,
            diagnostics=self.diagnostics,
            rule=self.identifier,
            checks=self.material.options.checks,
            made=self.made.policies,
            at=at,
            find=lambda name: self._found(HTTPFilter, HTTP_FILTER, namespace, name),
            config_map=lambda name: self._found(ConfigMap, "ConfigMap", namespace, name),
            secret=lambda name: self._found(Secret, "Secret", namespace, name),
        )

    def resolve(self, reference: BackendReference, path: str) -> str | None:
        """Resolve a backendRef of a page; where it leads nowhere errors are given as they are, and it is told."""
        reads = MaterialReads(self.material)
        backend, verdict = resolve_backend(self.owner, reference, ASKED, path, reads, self.diagnostics)
        self.made.unresolved = self.made.unresolved or verdict
        return backend

    def request_header_filter(self, name: str) -> RequestHeaderFilter | None:
        """Look up a RequestHeaderFilter."""
        return self._found(RequestHeaderFilter, REQUEST_HEADERS, self.owner.namespace, name)

    def _found(self, of: type[_Object], kind: str, namespace: str, name: str) -> _Object | None:
        self.material.reads.add((kind, namespace, name))
        found = self.material.snapshot.table(kind).get((namespace, name))
        return found if isinstance(found, of) else None


_Object = TypeVar("_Object", bound=Object)


def translate_listener_filters(
    filters: tuple[ListenerFilter, ...],
    owner: ObjectKey,
    path: str,
    identifier: str,
    material: Material,
    diagnostics: Diagnostics,
) -> MadeOfFilters:
    """Translate `filters.requests`.

    Args:
        filters: as written.
        owner: the object that the listener is written in.
        path: field of the listener.
        identifier: IR id of the listener.
        material: finds what is referred to.
        diagnostics: takes warnings about what is edited.

    Raises:
        Refused: one of them cannot be honoured.
    """
    place = _Place(owner, path, identifier, material, diagnostics)
    latest = 0
    for index, item in enumerate(filters):
        at = f"requests[{index}]"
        known = len(place.made.filters), len(place.made.policies)
        if item.type == EXTERNAL_AUTH:
            _external_auth(item, at, place)
        elif item.type == "ExtensionRef" and item.extension_ref is not None:
            _extension(item.extension_ref, f"{at}.extensionRef", place)
        else:
            raise Refused(
                ConditionType.ACCEPTED,
                Reason.UNSUPPORTED_VALUE,
                f"{at}.type",
                f"filter {item.type} is not supported",
                f"use an ExtensionRef to a {REQUEST_HEADERS} or an {HTTP_FILTER}",
            )
        made = (*place.made.filters[known[0] :], *place.made.policies[known[1] :])
        latest = _in_order(made, latest, at)
    try:
        check_together(place.made.filters)
    except Unsupported as error:
        reason = Reason.INVALID_LISTENER_FILTER
        raise Refused(ConditionType.ACCEPTED, reason, "requests", error.message, error.remedy) from None
    return place.made


def _in_order(made: tuple[object, ...], latest: int, at: str) -> int:
    """The latest step so far, with those of a filter.

    Raises:
        Refused: one of them acts before what is written before it: filters act in the order written (GEP-5224).
    """
    for step, (kind, what) in enumerate(_STEPS):
        if not any(isinstance(item, kind) for item in made):
            continue
        if step < latest:
            reason, other = Reason.INVALID_LISTENER_FILTER_ORDER, _STEPS[latest][1]
            message = f"{what} come before {other} here, and are written behind"
            raise Refused(ConditionType.ACCEPTED, reason, at, message, "put it before the other filter")
        latest = step
    return latest


def _external_auth(item: ListenerFilter, at: str, place: _Place) -> None:
    """The policy that an ExternalAuth comes to. It is asked before a rule is looked for."""
    if any(isinstance(policy, ir.ExternalAuth) for policy in place.made.policies):
        message = f"{EXTERNAL_AUTH} is given more than once"
        raise Refused(ConditionType.ACCEPTED, Reason.UNSUPPORTED_VALUE, at, message, "keep one of them")
    if item.external_auth is None:
        raise Refused(
            ConditionType.ACCEPTED, Reason.UNSUPPORTED_VALUE, at, "the filter has no content", "give externalAuth"
        )

    def resolve(reference: BackendReference, field: str) -> str | None:
        # What is wrong is told of the listener, by what is raised.
        unheard = Diagnostics(place.owner)
        reads = MaterialReads(place.material)
        backend, verdict = resolve_backend(place.owner, reference, ASKED, field, reads, unheard)
        if verdict is not None:
            is_forbidden = verdict.reason is Reason.REF_NOT_PERMITTED
            raise Refused(
                ConditionType.RESOLVED_REFS,
                verdict.reason if is_forbidden else Reason.INVALID_LISTENER_FILTER_REF,
                field,
                verdict.message,
                "correct the reference, or allow it by a ReferenceGrant",
            )
        return backend

    try:
        service = external_service(item.external_auth, f"{at}.externalAuth", resolve)
    except Unsupported as error:
        reason = Reason.INVALID_LISTENER_FILTER
        raise Refused(ConditionType.ACCEPTED, reason, error.field, error.message, error.remedy) from None
    identifier = f"{place.identifier}/{ir.ExternalAuth.stanza}"
    place.made.policies.append(ir.ExternalAuth(id=identifier, overrides=True, service=service))


def _extension(reference: LocalObjectReference, at: str, place: _Place) -> None:
    try:
        made = _made_of(reference, at, place)
    except Unsupported as error:
        is_reference = error.reason is Reason.INVALID_KIND
        raise Refused(
            ConditionType.RESOLVED_REFS if is_reference else ConditionType.ACCEPTED,
            Reason.INVALID_LISTENER_FILTER_REF if is_reference else Reason.INVALID_LISTENER_FILTER,
            error.field,
            error.message,
            error.remedy,
        ) from None
    for item in made:
        if not isinstance(item, ir.RequestHeaders | ir.ResponseHeaders | ir.Respond):  # pragma: no cover (see `PARTS`)
            raise TypeError(item)
        place.made.filters.append(item)


def _made_of(reference: LocalObjectReference, at: str, place: _Place) -> tuple[ir.Filter, ...]:
    context = place.context(at)
    if (reference.group, reference.kind) == (OWN_GROUP, REQUEST_HEADERS):
        return _request_headers(reference.name, at, context, place)
    if (reference.group, reference.kind) == (OWN_GROUP, HTTP_FILTER):
        return extension_part(reference.name, at, context)
    message = f"no filter of kind {reference.group or 'core'}/{reference.kind} is known"
    remedy = f"refer to a {REQUEST_HEADERS} or an {HTTP_FILTER} of {OWN_GROUP}"
    raise Unsupported(at, message, remedy, Reason.INVALID_KIND)


def _request_headers(name: str, at: str, context: FilterContext, place: _Place) -> tuple[ir.Filter, ...]:
    label = f"{REQUEST_HEADERS} {place.owner.namespace}/{name}"
    found = place.request_header_filter(name)
    if found is None:
        raise Unsupported(at, f"{label} does not exist", "create it or correct the name", Reason.INVALID_KIND)
    try:
        check_before_routing(found.spec, at)
        return request_headers(found.spec, "requestHeaderModifier", context)
    except Unsupported as error:
        raise Unsupported(at, f"{label}: {error.message}", error.remedy) from None
