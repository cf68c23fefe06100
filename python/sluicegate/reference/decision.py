"""What the rule that won does with the request, step by step (ARCHITECTURE.md, "5. Action of the rule")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

from sluicegate import ir

from .before import owning_behind, split
from .condition import variables_of
from .contract import BadRequest, Decision, Headers, Message, Reply, Request, Said
from .cors import is_preflight, preflight, with_cors
from .credentials import without_credentials
from .facts import facts_of, judged, taken_out, told
from .filters import edit_headers, edited_response, forwarded, location, mirrors
from .match import Found, Head
from .passage import Facts, Passage
from .policies import judge
from .response_rewrite import rewritten
from .session import take_session
from .table import Listener, Table
from .values import Values, values_of


class Routed(Struct, frozen=True):
    """A request with the rule that takes it.

    Attributes:
        authority: as sent, or of the absolute-form target.
        headers: all that the client sent, with the edits of the listener's filters.
        end_to_end: those of them that are not for this connection alone.
        sent_on: those of these that a backend may get.
        body_length: as the head declares it; None: it streams.
        sent: as the client sent them, the authority as Host among them.
        own: fields that the listener's filters set: the last ones of `end_to_end` and `sent_on`.
    """

    request: Request
    head: Head
    authority: str
    headers: Headers
    end_to_end: Headers
    sent_on: Headers
    body_length: int | None
    listener: Listener
    found: Found
    sent: Headers
    own: Headers


def respond(status: int, reason: str, listener: Listener | None = None, headers: Headers = ()) -> Decision:
    """An answer of the gateway itself."""
    return Decision(
        outcome="respond",
        status=status,
        reason=reason,
        listener=None if listener is None else listener.resource.id,
        response=Reply(status=status, headers=headers),
    )


def act(table: Table, routed: Routed, said: tuple[Said, ...] = ()) -> Decision:
    """Run the rule's steps; the first that answers ends it. `said`: by policies, before the rule was looked for."""
    candidate, passage = routed.found.candidate, Passage()
    decision = _before_policies(routed)
    if decision is None:
        routed, more, decision = _ask_policies(table, routed, passage)
        said = (*said, *more)
    if decision is None:
        decision = _own_answer(routed) or _forward(table, routed, passage)
    if decision.outcome == "respond" and decision.response is not None:
        response = _own(decision, decision.response, routed, passage)
        decision = msgspec.structs.replace(decision, response=response)
    if decision.response is not None and passage.respond:
        response = msgspec.structs.replace(decision.response, headers=(*decision.response.headers, *passage.respond))
        decision = msgspec.structs.replace(decision, response=response)
    return msgspec.structs.replace(decision, rule=candidate.rule.id, match_index=candidate.match_index, policies=said)


def _before_policies(routed: Routed) -> Decision | None:
    """Steps 1 and 2. A preflight asks for what the browser may ask, and carries no credentials."""
    rule, listener, headers = routed.found.candidate.rule, routed.listener, routed.headers
    if rule.invalid:
        return respond(500, "rule_invalid", listener)
    cors = _first(ir.Cors, rule.filters)
    if cors is not None and is_preflight(routed.head, headers):
        return respond(204, "cors_preflight", listener, preflight(cors, headers))
    return None


def _ask_policies(table: Table, routed: Routed, passage: Passage) -> tuple[Routed, tuple[Said, ...], Decision | None]:
    """Step 3: the request without what policies may set, what they said, and the answer of one that refuses."""
    rule, listener = routed.found.candidate.rule, routed.listener
    every = listener.policies.get(rule.policies, ())
    if not every:
        return routed, (), None
    _, policies = split(every, listener.resource.policies)
    owning = owning_behind(every, listener.resource.policies)
    headers = taken_out(owning, routed.end_to_end, routed.own)
    sent_on = taken_out(owning, routed.sent_on, routed.own)
    headers = judged(owning, routed.end_to_end, headers)
    routed = msgspec.structs.replace(routed, end_to_end=headers, sent_on=sent_on)
    said, denial = judge(policies, _facts(routed), passage, listener.resource.policies, table.policy_secrets)
    answer = None if denial is None else respond(denial.status, denial.reason, listener, denial.headers)
    return routed, said, answer


def _facts(routed: Routed) -> Facts:
    """What policies and expressions see of a request."""
    return facts_of(
        routed.request,
        routed.listener,
        routed.head,
        routed.found.candidate.rule,
        authority=routed.authority,
        headers=routed.end_to_end,
        told=told(routed.request, routed.listener, routed.authority, routed.sent_on, routed.own),
        sent=routed.sent,
        body_length=routed.body_length,
    )


def _values(routed: Routed, passage: Passage) -> Values:
    """What expressions of filters come to."""
    return values_of(lambda: variables_of(_facts(routed), passage.identity))


def _own_answer(routed: Routed) -> Decision | None:
    """Step 4: what a filter answers."""
    rule, listener = routed.found.candidate.rule, routed.listener
    redirect = _first(ir.Redirect, rule.filters)
    # What the listener answers it answers whatever its rules do.
    own = _first(ir.Respond, listener.resource.filters)
    if redirect is not None and own is None:
        target = location(redirect, listener.resource, routed.head, routed.found)
        return respond(redirect.status, "redirect", listener, (("location", target),))
    own = own or _first(ir.Respond, rule.filters)
    if own is not None:
        return respond(own.status, "respond", listener, edit_headers((), ir.HeaderEdit(add=own.headers)))
    return None


def _forward(table: Table, routed: Routed, passage: Passage) -> Decision:
    """Steps 5 and 6: the backend, then the filters of the rule and of the backendRef."""
    request, rule, listener = routed.request, routed.found.candidate.rule, routed.listener
    index = pick(rule.backends, request.entropy)
    if index is None:
        return respond(500, "no_backend", listener)
    weighted = rule.backends[index]
    backend = None if weighted.backend is None else table.backends.get(weighted.backend)
    if backend is None or backend.tls_invalid or backend.policy_invalid:
        return msgspec.structs.replace(respond(500, "backend_invalid", listener), backend=index)
    if not backend.endpoints:
        return msgspec.structs.replace(respond(503, "no_endpoint", listener), backend=index)
    filters = (*rule.filters, *weighted.filters)
    passage.choose(index)
    take_session(rule.session or backend.session, routed.sent_on, passage)
    headers, query = without_credentials(passage, routed.sent_on, routed.head.query)
    headers = (*headers, *passage.forward)
    message = Message(method=request.method, authority=routed.authority, target=request.target, headers=headers)
    head = msgspec.structs.replace(routed.head, query=query)
    try:
        sent = forwarded(message, filters, head, routed.found, _values(routed, passage))
    except BadRequest:
        return msgspec.structs.replace(respond(400, "bad_request", listener), backend=index)
    return Decision(
        outcome="forward",
        status=0,
        reason="forwarded",
        listener=listener.resource.id,
        backend=index,
        endpoints=backend.endpoints,
        request=sent,
        mirrors=mirrors(filters, request.entropy),
        response=None if request.response is None else _of_backend(request.response, filters, routed, passage),
    )


def pick(backends: tuple[ir.WeightedBackend, ...], entropy: int) -> int | None:
    """The backend whose share of the weights the request falls into; None where there is no weight at all."""
    total = sum(backend.weight for backend in backends)
    if total == 0:
        return None
    slot = entropy % total
    cumulated = 0
    for index, backend in enumerate(backends):
        cumulated += backend.weight
        if cumulated > slot:
            return index
    return None


def _own(decision: Decision, answer: Reply, routed: Routed, passage: Passage) -> Reply:
    """An answer of the gateway has the rule's response filters, and its CORS fields; a preflight has those already.

    Of a rule that is invalid only what the listener does is left.
    """
    rule = routed.found.candidate.rule
    filters = () if rule.invalid else rule.filters
    if decision.reason == "cors_preflight":
        edits = (*filters, *routed.listener.resource.filters)
        edited = edited_response(answer.headers, edits, _values(routed, passage))
        return Reply(status=answer.status, headers=edited)
    return _response(answer, filters, routed, passage)


def _of_backend(sample: Reply, filters: tuple[ir.Filter, ...], routed: Routed, passage: Passage) -> Reply:
    """What a backend says of where it is, its clients see otherwise; then it is as any answer."""
    located = rewritten(sample.headers, [each for each in filters if isinstance(each, ir.ResponseRewrite)])
    return _response(msgspec.structs.replace(sample, headers=located), filters, routed, passage)


def _response(sample: Reply, filters: tuple[ir.Filter, ...], routed: Routed, passage: Passage) -> Reply:
    edits = (*filters, *routed.listener.resource.filters)
    edited = edited_response(sample.headers, edits, _values(routed, passage))
    cors = _first(ir.Cors, filters)
    if cors is not None:
        edited = with_cors(cors, routed.headers, edited)
    return Reply(status=sample.status, headers=edited)


_Filter = TypeVar("_Filter", ir.Cors, ir.Redirect, ir.Respond)


def _first(kind: type[_Filter], filters: Iterable[ir.Filter]) -> _Filter | None:
    for each in filters:
        if isinstance(each, kind):
            return each
    return None
