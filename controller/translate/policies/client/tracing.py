"""`ClientPolicy.spec.tracing`: how backends are told of a trace besides by `traceparent`."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientTracing
from ..draft import Draft

_FORMATS = {item.value: item for item in ir.TraceFormat}


def judge_tracing(draft: Draft, tracing: ClientTracing | None) -> ir.ClientTracing | None:
    """The stanza; None: it is not set.

    A form that is not known is told, and left out: what is wrong with traces refuses no request.
    """
    if tracing is None:
        return None
    head = draft.head("tracing", off=tracing.off)
    if tracing.off:
        return ir.ClientTracing(**head)
    known: dict[ir.TraceFormat, None] = {}
    for index, name in enumerate(tracing.propagation):
        if name in _FORMATS:
            known[_FORMATS[name]] = None
        else:
            draft.refuse(f"tracing.propagation[{index}]", f"{name!r} is not known", f"use {' or '.join(_FORMATS)}")
    return ir.ClientTracing(**head, propagation=tuple(known))
