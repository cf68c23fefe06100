"""`ClientPolicy.spec.body`: how large the body of a request may be, and how long it may take."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientBody
from ..draft import Draft
from .parts import milliseconds, size


def judge_body(draft: Draft, body: ClientBody | None) -> ir.ClientBody | None:
    """The stanza; None: it is not set."""
    if body is None:
        return None
    head, faults = draft.head("body", off=body.off), draft.faults
    if body.off:
        return ir.ClientBody(**head)
    if body.max_size is None and body.timeout is None:
        draft.refuse("body", "it says nothing", "set body.maxSize or body.timeout, or mode: Disabled")
    return ir.ClientBody(
        **head,
        max_bytes=size(draft, body.max_size, "body.maxSize"),
        timeout_ms=milliseconds(draft, body.timeout, "body.timeout"),
        invalid=draft.faults > faults,
    )
