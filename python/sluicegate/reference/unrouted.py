"""A request that no rule takes: what its listener asks is asked all the same."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from sluicegate import ir

from .before import owning_behind, split
from .contract import Decision, Headers, Request, Said
from .decision import respond
from .facts import facts_of, judged, taken_out, told, without_forwarded
from .filters import edited_response
from .match import Head
from .passage import Denial, Passage
from .policies import judge
from .table import Listener, Table

#: What acts on what goes to a backend.
_OF_RULES = (ir.FilterFault, ir.FilterCredential, ir.FilterBuffer)


class Unrouted(Struct, frozen=True):
    """A request that no rule takes, or none yet.

    Attributes:
        request: as it came.
        listener: that it came to.
        head: as rules are looked for with it.
        authority: that it is for.
        headers: fields that are not for this connection alone, with the edits of the listener's filters.
        own: the last of these, which the filters have set.
        sent: fields as the client sent them, the authority as Host among them.
        body_length: as the head declares it.
    """

    request: Request
    listener: Listener
    head: Head
    authority: str
    headers: Headers
    own: Headers
    sent: Headers
    body_length: int | None


def refuse(table: Table, unrouted: Unrouted, before: tuple[Said, ...]) -> Decision:
    """What a policy of the listener answers, else 404; `before`: what was said before a rule was looked for."""
    above = unrouted.listener.resource.policies
    every = _without_rule(unrouted.listener)
    _, behind = split(every, above)
    said, denial, respond_with = ask(table, unrouted, behind, owning_behind(every, above))
    return answer(unrouted.listener, denial, respond_with, (*before, *said))


def ask_before(table: Table, unrouted: Unrouted) -> tuple[tuple[Said, ...], Decision | None]:
    """What those say that act before a rule is looked for, and the answer of one that refuses."""
    every = _without_rule(unrouted.listener)
    before, _ = split(every, unrouted.listener.resource.policies)
    # Nobody is shown what a client says in place of any of them.
    said, denial, respond_with = ask(table, unrouted, before, every)
    return said, None if denial is None else answer(unrouted.listener, denial, respond_with, said)


def ask(
    table: Table, unrouted: Unrouted, policies: tuple[ir.StanzaBase, ...], owning: tuple[ir.StanzaBase, ...]
) -> tuple[tuple[Said, ...], Denial | None, Headers]:
    """Ask policies of a listener.

    Args:
        table: the generation.
        unrouted: the request.
        policies: those that are asked.
        owning: those whose fields are taken out before.

    Returns:
        What they said, how one refuses, and what the answer has besides.
    """
    request, listener, own = unrouted.request, unrouted.listener, unrouted.own
    passage = Passage()
    every, headers = unrouted.headers, taken_out(owning, unrouted.headers, own)
    own = taken_out(owning, own, own)
    kept = headers[: len(headers) - len(own)]
    facts = facts_of(
        request,
        listener,
        unrouted.head,
        None,
        authority=unrouted.authority,
        headers=judged(owning, every, headers),
        told=told(request, listener, unrouted.authority, (*without_forwarded(kept), *own), own),
        sent=unrouted.sent,
        body_length=unrouted.body_length,
    )
    said, denial = judge(policies, facts, passage, listener.resource.policies, table.policy_secrets)
    return said, denial, tuple(passage.respond)


def answer(listener: Listener, denial: Denial | None, respond_with: Headers, said: tuple[Said, ...]) -> Decision:
    """What a policy answers, else 404, as the listener edits it."""
    # Of what has no rule nothing is known that an expression could ask.
    edits = listener.resource.filters
    if denial is None:
        decision = respond(404, "no_route", listener, edited_response((), edits))
    else:
        decision = respond(denial.status, denial.reason, listener, edited_response(denial.headers, edits))
    if decision.response is not None and respond_with:
        response = msgspec.structs.replace(decision.response, headers=(*decision.response.headers, *respond_with))
        decision = msgspec.structs.replace(decision, response=response)
    return msgspec.structs.replace(decision, policies=said)


def _without_rule(listener: Listener) -> tuple[ir.StanzaBase, ...]:
    """Those that hold without a rule, but for what acts on what goes to a backend."""
    every = listener.policies.get((), ())
    return tuple(each for each in every if not isinstance(each, _OF_RULES) or each.invalid)
