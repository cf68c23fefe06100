"""`ClientPolicy.spec.clientCertificate`: what backends are told of the certificate of a client."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientCertificate
from ...values import told_name_error
from ..draft import Draft
from .parts import for_listeners_only, word


def judge_certificate(draft: Draft, stanza: ClientCertificate | None) -> ir.ClientCertificateHeader | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("clientCertificate", off=stanza.off), draft.faults
    for_listeners_only(draft, "clientCertificate")
    if stanza.off:
        return ir.ClientCertificateHeader(**head, invalid=draft.faults > faults)
    error = told_name_error(stanza.header)
    if error:
        draft.refuse(
            "clientCertificate.header", f"{stanza.header!r} {error}", "name a field of your own, such as X-Cert"
        )
    fields = [
        word(draft, ir.CertificateField, name, f"clientCertificate.fields[{index}]", ir.CertificateField.HASH)
        for index, name in enumerate(stanza.fields)
    ]
    if not fields:
        draft.refuse("clientCertificate.fields", "nothing is told", "name Hash, Subject, URI, DNS or Cert")
    return ir.ClientCertificateHeader(
        **head,
        header=stanza.header.lower(),
        fields=tuple(dict.fromkeys(fields)),
        invalid=draft.faults > faults,
    )
