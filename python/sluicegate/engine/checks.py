"""The checks of certificates and expressions that the engine itself makes, as the translator wants them."""

from __future__ import annotations

from sluicegate.controller.translate import CertificateFacts, Checks, pem_text
from sluicegate.engine import native as engine


def native_checks() -> Checks:
    """Checks by the native library: what passes them, the engine takes."""
    return Checks(regex=engine.check_regex, certificate=_certificate, trust=_trust)


def _certificate(chain: bytes, key: bytes) -> CertificateFacts:
    facts = engine.check_certificate(pem_text(chain), pem_text(key))
    if facts.error is not None:
        return CertificateFacts(error=facts.error)
    return CertificateFacts(names=tuple(facts.names), not_before=facts.not_before, not_after=facts.not_after)


def _trust(pem: bytes) -> str | None:
    return engine.check_trust(pem_text(pem)).error
