"""`certificate`: clients prove themselves by the certificate of their connection."""

from __future__ import annotations

from sluicegate import ir

from ....api.access_policy import OPTIONAL, CertificateStanza
from ..draft import Draft
from .conditions import check_forward


def judge_certificate(draft: Draft, stanza: CertificateStanza | None) -> ir.AccessCertificate | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("certificate", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessCertificate(**head)
    if stanza.forward.header:
        check_forward(draft, "certificate.forward.header", stanza.forward.header)
    names: list[ir.SubjectAltName] = []
    for index, item in enumerate(stanza.subject_alt_names):
        if item.type == "Hostname" and item.hostname:
            names.append(ir.HostnameSan(value=item.hostname.lower()))
        elif item.type == "URI" and item.uri:
            names.append(ir.UriSan(value=item.uri))
        else:
            field = f"certificate.subjectAltNames[{index}]"
            draft.refuse(field, f"a name of type {item.type} needs its value", "use type Hostname or URI")
    return ir.AccessCertificate(
        **head,
        invalid=draft.faults > faults,
        optional=stanza.mode == OPTIONAL,
        subject_alt_names=tuple(names),
        forward_header=stanza.forward.header,
    )
