"""`ClientPolicy.spec.tls`: which versions of TLS clients may speak, and cipher suites."""

from __future__ import annotations

from sluicegate import ir
from sluicegate.words import listed

from ....api.client_policy import ClientTls
from ...cipher_suites import SUITES, cipher_suites
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
    suites, unknown = cipher_suites(tls.cipher_suites)
    if unknown:
        draft.refuse("tls.cipherSuites", f"{listed(unknown)}: not spoken", f"use some of {listed(SUITES)}")
    return ir.ClientTls(
        **head, versions=ir.TlsVersions(min=least, max=most, suites=suites), invalid=draft.faults > faults
    )
