"""What ClientPolicies say of the heads of requests, and of certificates."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate import ir

from .contract import Certificate
from .passage import Denial, Facts, Passage

#: What a field takes of a head besides its name and its value: a colon, a space, and the end of its line.
FRAME = 4
BAD_REQUEST = Denial("bad_request", 400)
TOO_LARGE = Denial("headers_too_large", 431)
#: What could be taken for the end of a value.
_ENDS = frozenset(',;="\\')
#: As Envoy escapes a PEM.
_ESCAPED = {"\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"}


def judge_head(policy: ir.ClientHeaders, facts: Facts) -> Denial | None:
    """Why the head of a request is refused; None: it is not."""
    if policy.underscores is ir.Underscores.REJECT and any("_" in name for name, _ in facts.sent):
        return BAD_REQUEST
    octets = sum(_length(name) + _length(value) + FRAME for name, value in facts.sent)
    is_large = policy.max_bytes and octets > policy.max_bytes
    return TOO_LARGE if is_large or (policy.max_count and len(facts.sent) > policy.max_count) else None


def _length(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


def forward_certificate(policy: ir.ClientCertificateHeader, facts: Facts, passage: Passage) -> None:
    """Tell the backend of the client's certificate, where there is one."""
    certificate = facts.certificate
    pairs = [] if certificate is None else [pair for field in _ORDER for pair in _told(policy, field, certificate)]
    if pairs:
        passage.tell(policy.header, ";".join(pairs))


_ORDER = tuple(ir.CertificateField)


def _told(policy: ir.ClientCertificateHeader, field: ir.CertificateField, certificate: Certificate) -> Iterable[str]:
    if field not in policy.fields:
        return
    match field:
        case ir.CertificateField.HASH:
            if certificate.fingerprint:
                yield f"Hash={certificate.fingerprint}"
        case ir.CertificateField.CERT:
            if certificate.pem:
                yield f'Cert="{"".join(_ESCAPED.get(each, each) for each in certificate.pem)}"'
        case ir.CertificateField.SUBJECT:
            if _is_printable(certificate.subject):
                yield f'Subject="{certificate.subject}"'
        case ir.CertificateField.URI:
            yield from (f"URI={_quoted(name)}" for name in certificate.uris if _is_printable(name))
        case ir.CertificateField.DNS:
            yield from (f"DNS={_quoted(name)}" for name in certificate.dns_names if _is_printable(name))


def _is_printable(text: str) -> bool:
    return all(" " <= each <= "~" for each in text)


def _quoted(value: str) -> str:
    if not _ENDS.intersection(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
