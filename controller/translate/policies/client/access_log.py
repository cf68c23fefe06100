"""`ClientPolicy.spec.accessLog`: which requests have a line in the access log."""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ....api.client_policy import ClientAccessLog, LogCollector, LogSample
from ...unsupported import Unsupported
from ..collector import collector, header_lines
from ..draft import Draft, MaterialReads
from .parts import MAX_COUNT

#: No sample.
ALL = ir.LogSample(numerator=1, denominator=1)
_LINES = {"All": ir.LogLines.ALL, "Errors": ir.LogLines.ERRORS, "Disabled": ir.LogLines.NONE}


def judge_access_log(draft: Draft, log: ClientAccessLog | None) -> ir.ClientAccessLog | None:
    """The stanza; None: it is not set.

    `Disabled` says that there are no lines. So it takes nothing away that is inherited, which `All` does.
    """
    if log is None:
        return None
    head, faults = draft.head("accessLog"), draft.faults
    if log.mode not in _LINES:
        draft.refuse("accessLog.mode", f"{log.mode!r} is not known", "use All, Errors or Disabled")
    lines = _LINES.get(log.mode, ir.LogLines.ALL)
    sample = ALL
    if log.sample is not None:
        if lines is not ir.LogLines.ALL:
            draft.refuse("accessLog.sample", f"mode {log.mode} has no sample", "use mode All, or remove sample")
        sample = _sample(draft, log.sample)
    stanza = ir.ClientAccessLog(**head, lines=lines, sample=sample, invalid=draft.faults > faults)
    if log.collector is None or lines is ir.LogLines.NONE:
        return stanza
    return msgspec.structs.replace(stanza, collector=_collector(draft, log.collector))


def _collector(draft: Draft, wanted: LogCollector) -> ir.OtlpCollector | None:
    """Who takes lines; None: it was told what is wrong, and they go to nobody. No request is refused for that."""
    backend = draft.backend(wanted.backend_ref, "accessLog.collector.backendRef")
    try:
        fields = header_lines(wanted.headers, "accessLog.collector.headers")
    except Unsupported as error:
        draft.refuse(error.field, error.message, error.remedy)
        return None
    if backend is None:
        return None
    headers = draft.keep("accessLog", fields, "headers") if fields else ""
    return collector(backend, headers, MaterialReads(draft.material))


def _sample(draft: Draft, sample: LogSample) -> ir.LogSample:
    if not 0 <= sample.numerator <= sample.denominator <= MAX_COUNT or sample.denominator == 0:
        message = f"{sample.numerator} of {sample.denominator} is no share"
        draft.refuse("accessLog.sample", message, "the numerator is from 0 to the denominator")
        return ALL
    return ir.LogSample(numerator=sample.numerator, denominator=sample.denominator)
