"""Client certificates: whose they are, and whether they are asked for."""

from __future__ import annotations

from sluicegate import ir

from .contract import Certificate


def admits(policy: ir.AccessCertificate, certificate: Certificate) -> bool:
    """Whether a certificate is one that is asked for."""
    names = (certificate.subject, *certificate.dns_names, *certificate.uris)
    if not user_of(certificate) or any(is_control(character) for name in names for character in name):
        return False
    known = {name.lower() for name in certificate.dns_names}
    return not policy.subject_alt_names or any(
        name.value.lower() in known if isinstance(name, ir.HostnameSan) else name.value in certificate.uris
        for name in policy.subject_alt_names
    )


def user_of(certificate: Certificate) -> str:
    """Who a certificate is of: its first URI, DNS name, or its subject."""
    return next(iter((*certificate.uris, *certificate.dns_names)), certificate.subject)


def is_control(character: str) -> bool:
    """Whether a character is a control, of C0 or C1."""
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0
