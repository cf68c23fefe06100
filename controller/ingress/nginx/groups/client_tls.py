"""Certificates of clients, for a whole host.

Source: `internal/ingress/annotations/authtls`. Who has none is told 400 there, and 401 here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import patterns, values
from ...features import ClientCertificates, Closed, Feature
from ...reading import Reading
from ...urls import parse

_NAMES = (
    "auth-tls-secret",
    "auth-tls-verify-client",
    "auth-tls-match-cn",
    "auth-tls-pass-certificate-to-upstream",
    "auth-tls-error-page",
)
#: Characters of an expression.
_MAX_PATTERN = 1024
_MODES = frozenset({"on", "off", "optional", "optional_no_ca"})


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    secret = reading.value("auth-tls-secret")
    if secret is None:
        for name in (*_NAMES, "auth-tls-verify-depth"):
            reading.tell(name, "dropped-harmless", "without auth-tls-secret it never did anything", "take it out")
        return
    mode = reading.text("auth-tls-verify-client", "on")
    if mode not in _MODES:
        reading.tell(
            "auth-tls-verify-client", "invalid", f"there is no {mode}: on holds, as before", "correct the value"
        )
        mode = "on"
    if mode == "off":
        return
    if mode == "optional_no_ca":
        message = "a certificate of another CA counts as none"
        reading.tell("auth-tls-verify-client", "converted-with-difference", message, "write optional")
    pattern = reading.text("auth-tls-match-cn")
    wrong = patterns.reason(pattern)
    if not wrong and (len(pattern) > _MAX_PATTERN or not reading.is_expressible(pattern)):
        wrong = "RE2 cannot say it, or it is too long"
    if wrong:
        reading.tell("auth-tls-match-cn", "no-equivalent", f"{wrong}: its paths answer 500", "write it without")
        yield Closed(causes=reading.causes("auth-tls-match-cn"), reason="an expression of Perl")
        return
    yield ClientCertificates(
        causes=reading.causes(*_NAMES),
        secret=reading.object_name(secret.text),
        required=mode == "on",
        forward=reading.flag("auth-tls-pass-certificate-to-upstream"),
        pattern=pattern,
        error_page=_error_page(reading),
    )


def _error_page(reading: Reading) -> str:
    """The URL where browsers without a certificate are sent; empty: nowhere."""
    written = reading.text("auth-tls-error-page")
    if written and (parse(written) is None or not values.is_field_value(written)):
        message = "no URL with a host and without variables: whoever has no certificate is told 401"
        reading.tell("auth-tls-error-page", "no-equivalent", message, "write the URL itself")
        return ""
    return written
