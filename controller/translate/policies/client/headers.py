"""`ClientPolicy.spec.headers`: how large heads may be, and which names their fields may have."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientHeaders
from ..draft import Draft
from .parts import count, for_listeners_only, size, word


def judge_headers(draft: Draft, headers: ClientHeaders | None) -> ir.ClientHeaders | None:
    """The stanza; None: it is not set."""
    if headers is None:
        return None
    head, faults = draft.head("headers", off=headers.off), draft.faults
    for_listeners_only(draft, "headers")
    if headers.off:
        return ir.ClientHeaders(**head, invalid=draft.faults > faults)
    return ir.ClientHeaders(
        **head,
        max_bytes=size(draft, headers.max_size, "headers.maxSize"),
        max_count=count(draft, headers.max_count, "headers.maxCount"),
        underscores=word(draft, ir.Underscores, headers.underscores, "headers.underscores", ir.Underscores.KEEP),
        invalid=draft.faults > faults,
    )
