"""`ClientPolicy.spec.tls`: which versions of TLS clients may speak."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientTls
from ..draft import Draft
from .parts import for_listeners_only, word


def judge_tls(draft: Draft, tls: ClientTls | None) -> ir.ClientTls | None:
    """The stanza; None: it is not set."""
    if tls is None:
        return None
    head, faults = draft.head("tls", off=tls.off), draft.faults
    for_listeners_only(draft, "tls")
    if tls.off:
        return ir.ClientTls(**head, invalid=draft.faults > faults)
    least, most = (
        word(draft, ir.TlsVersion, value, f"tls.{field}", ir.TlsVersion.TLS13) if value else None
        for field, value in (("minVersion", tls.min_version), ("maxVersion", tls.max_version))
    )
    if least is ir.TlsVersion.TLS13 and most is ir.TlsVersion.TLS12:
        draft.refuse("tls.minVersion", "no version is at least 1.3 and at most 1.2", "correct one of them")
    return ir.ClientTls(**head, versions=ir.TlsVersions(min=least, max=most), invalid=draft.faults > faults)
