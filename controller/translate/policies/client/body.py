"""`ClientPolicy.spec.body`: how large the body of a request may be."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientBody
from ..draft import Draft
from ..quantity import octets


def judge_body(draft: Draft, body: ClientBody | None) -> ir.ClientBody | None:
    """The stanza; None: it is not set."""
    if body is None:
        return None
    head = draft.head("body", off=body.off)
    if body.off:
        return ir.ClientBody(**head)
    size = octets(body.max_size)
    if size is None:
        message = f"{body.max_size!r} is no size"
        draft.refuse("body.maxSize", message, "write octets, such as 1048576, or 512Ki, 10Mi, 1Gi, 10M")
    return ir.ClientBody(**head, max_bytes=size or 0, invalid=size is None)
