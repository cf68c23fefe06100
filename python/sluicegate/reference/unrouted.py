"""A request that no rule takes: what its listener asks is asked all the same."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from .contract import Decision, Headers, Request
from .decision import respond
from .facts import facts_of, judged, taken_out, told, without_forwarded
from .filters import edited_response
from .match import Head
from .passage import Passage
from .policies import judge
from .table import Listener, Table

#: What acts on what goes to a backend.
_OF_RULES = (ir.FilterFault, ir.FilterCredential, ir.FilterBuffer)


def refuse(
    table: Table,
    request: Request,
    listener: Listener,
    head: Head,
    *,
    authority: str,
    headers: Headers,
    own: Headers,
    sent: Headers,
    body_length: int | None,
) -> Decision:
    """What a policy of the listener answers, else 404.

    Args:
        table: the generation.
        request: as it came.
        listener: that it came to.
        head: as rules were looked for with it.
        authority: that it is for.
        headers: fields that are not for this connection alone, with the edits of the listener's filters.
        own: the last of these, which the filters have set.
        sent: fields as the client sent them, the authority as Host among them.
        body_length: as the head declares it.
    """
    policies = tuple(each for each in listener.policies.get((), ()) if not isinstance(each, _OF_RULES) or each.invalid)
    passage = Passage()
    every, headers = headers, taken_out(policies, headers, own)
    own = taken_out(policies, own, own)
    kept = headers[: len(headers) - len(own)]
    facts = facts_of(
        request,
        listener,
        head,
        None,
        authority=authority,
        headers=judged(policies, every, headers),
        told=told(request, listener, authority, (*without_forwarded(kept), *own), own),
        sent=sent,
        body_length=body_length,
    )
    said, denial = judge(policies, facts, passage, listener.resource.policies, table.policy_secrets)
    # Of what has no rule nothing is known that an expression could ask.
    edits = listener.resource.filters
    if denial is None:
        decision = respond(404, "no_route", listener, edited_response((), edits))
    else:
        decision = respond(denial.status, denial.reason, listener, edited_response(denial.headers, edits))
    if decision.response is not None and passage.respond:
        response = msgspec.structs.replace(decision.response, headers=(*decision.response.headers, *passage.respond))
        decision = msgspec.structs.replace(decision, response=response)
    return msgspec.structs.replace(decision, policies=said)
