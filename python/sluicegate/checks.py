"""The checks of certificates and expressions that the engine itself makes, as the translator wants them."""

from __future__ import annotations

import functools

from sluicegate.controller.api import Secret
from sluicegate.controller.translate import CertificateFacts, Checks, KeySetFacts, PatternFacts, UsersFacts, pem_text
from sluicegate.controller.translate.secrets import secret_value
from sluicegate.engine import native as engine

#: Verdicts on regular expressions that are remembered: a route is translated anew whenever what it reads changes.
MAX_REMEMBERED = 4_096


def native_checks() -> Checks:
    """Checks by the native library: what passes them, the engine takes."""
    return Checks(
        pattern=_pattern,
        substitution=_substitution,
        certificate=_certificate,
        trust=_trust,
        users=_users,
        expression=engine.check_expression,
        key_set=_key_set,
    )


def certificate_names(secret: Secret) -> tuple[str, ...] | None:
    """The DNS names of the certificate of a Secret; None: it has none that the engine takes."""
    chain, key = secret_value(secret, "tls.crt"), secret_value(secret, "tls.key")
    if chain is None or key is None:
        return None
    facts = _certificate(chain, key)
    return facts.names if facts.error is None else None


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _pattern(pattern: str) -> PatternFacts:
    facts = engine.check_pattern(pattern)
    return PatternFacts(error=_reason(facts.error), size=facts.size)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _substitution(pattern: str, replacement: str) -> str | None:
    return _reason(engine.check_substitution(pattern, replacement))


def _reason(error: str | None) -> str | None:
    # The library draws the place on lines of its own, above its reason.
    return error.rpartition("error: ")[2].strip() if error is not None else None


def _certificate(chain: bytes, key: bytes) -> CertificateFacts:
    facts = engine.check_certificate(pem_text(chain), pem_text(key))
    if facts.error is not None:
        return CertificateFacts(error=facts.error)
    return CertificateFacts(names=tuple(facts.names), not_before=facts.not_before, not_after=facts.not_after)


def _trust(pem: bytes) -> str | None:
    return engine.check_trust(pem_text(pem)).error


def _users(file: str) -> UsersFacts:
    facts = engine.check_users(file)
    return UsersFacts(error=facts.error, weak=tuple(facts.weak))


def _key_set(text: str) -> KeySetFacts:
    facts = engine.check_key_set(text)
    return KeySetFacts(error=facts.error, unusable=facts.unusable)
