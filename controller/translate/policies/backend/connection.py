"""`BackendPolicy.spec.connection` and `.tls`: how the gateway's connections to endpoints are."""

from __future__ import annotations

from sluicegate import ir
from sluicegate.words import listed

from ...cipher_suites import SUITES, cipher_suites
from .draft import BackendDraft


def judge_proxy_protocol(draft: BackendDraft) -> ir.ProxyProtocol | None:
    """What connections begin with."""
    proxy = draft.policy.spec.connection.proxy_protocol
    if proxy not in {"", "v1", "v2"}:
        draft.refuse("connection.proxyProtocol", f"version {proxy} is not known", "use v1 or v2")
        return None
    return ir.ProxyProtocol(proxy) if proxy else None


def judge_keepalive(draft: BackendDraft) -> ir.Keepalive | None:
    """How TCP asks whether a silent endpoint is there; None: as for all connections."""
    asked, field = draft.policy.spec.connection.keepalive, "connection.keepalive"
    if asked is None:
        return None
    return ir.Keepalive(
        idle_seconds=_seconds(draft, asked.idle, f"{field}.idle"),
        interval_seconds=_seconds(draft, asked.interval, f"{field}.interval"),
        probes=asked.probes,
    )


def _seconds(draft: BackendDraft, value: str, field: str) -> int:
    milliseconds = draft.duration(value, field)
    if milliseconds % 1000:
        draft.refuse(field, f"{value} is no whole number of seconds", "TCP counts in seconds: use a value such as 30s")
    return milliseconds // 1000


def judge_tls(draft: BackendDraft) -> ir.TlsVersions:
    """Versions and cipher suites that are spoken where TLS is."""
    said = draft.policy.spec.tls
    least, most = (
        _version(draft, value, f"tls.{name}")
        for name, value in (("minVersion", said.min_version), ("maxVersion", said.max_version))
    )
    if least is ir.TlsVersion.TLS13 and most is ir.TlsVersion.TLS12:
        draft.refuse("tls", "minVersion is above maxVersion: no version is left", "correct one of them")
    suites, unknown = cipher_suites(said.cipher_suites)
    if unknown:
        draft.refuse("tls.cipherSuites", f"{listed(unknown)}: not spoken", f"use some of {listed(SUITES)}")
    return ir.TlsVersions(min=least, max=most, suites=suites)


def _version(draft: BackendDraft, value: str, field: str) -> ir.TlsVersion | None:
    if not value:
        return None
    known = {item.value: item for item in ir.TlsVersion}
    if value not in known:
        draft.refuse(field, f"TLS {value} is not spoken", f"use {' or '.join(sorted(known))}")
    return known.get(value)
