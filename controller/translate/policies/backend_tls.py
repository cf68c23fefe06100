"""BackendTLSPolicy by itself: TLS towards the pods of a Service (GEP-1897).

A policy that cannot be honoured still holds: its backends answer 500 rather than plain text or unverified TLS.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate import ir

from ...api import BackendTLSPolicy, Diagnostics
from ...api.policy import BackendTLSPolicyValidation
from ..conditions import Reason
from ..secrets import Material, is_cluster_bundle
from ..status import Verdict
from ..values import hostname_error
from .judged import Judgement

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")


@dataclass(slots=True)
class TlsDraft:
    """What says how TLS is spoken, while it is judged."""

    diagnostics: Diagnostics
    accepted: Verdict = ACCEPTED
    resolved: Verdict = RESOLVED

    def refuse(self, field: str, message: str, remedy: str) -> None:
        """Tell what cannot be honoured; the first cause stays."""
        self.diagnostics.error(field, "invalid-policy", message, remedy)
        if self.accepted.ok:
            self.accepted = Verdict(False, Reason.INVALID, message)


def judge_backend_tls(policy: BackendTLSPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft = TlsDraft(diagnostics)
    resource = judge_validation(
        draft, policy.spec.validation, "spec.validation", str(policy.key), policy.namespace, material
    )
    if policy.spec.options:
        message = "no TLS option is known, all are ignored"
        diagnostics.warning("spec.options", "options-ignored", message, "remove the options")
    return Judgement(draft.accepted, draft.resolved, {"": resource})


def judge_validation(
    draft: TlsDraft,
    validation: BackendTLSPolicyValidation,
    path: str,
    identifier: str,
    namespace: str,
    material: Material,
) -> ir.BackendTls:
    """Whom a backend has to prove that it is; one that cannot be honoured is `invalid`.

    Args:
        draft: takes what is wrong.
        validation: as written.
        path: its field.
        identifier: IR id of what it comes to.
        namespace: that ConfigMaps are in.
        material: looks CA bundles up.
    """
    if validation.ca_certificate_refs and validation.well_known_ca_certificates:
        draft.refuse(path, "caCertificateRefs and wellKnownCACertificates cannot be combined", "keep one of them")
    elif validation.well_known_ca_certificates not in {"", "System"}:
        message = f"wellKnownCACertificates {validation.well_known_ca_certificates} is not known"
        draft.refuse(f"{path}.wellKnownCACertificates", message, "use System, or caCertificateRefs")
    elif not validation.ca_certificate_refs and not validation.well_known_ca_certificates:
        draft.refuse(path, "no CA certificates are given", "give caCertificateRefs or wellKnownCACertificates")
    error = hostname_error(validation.hostname.lower(), wildcard=False)
    if error is not None:
        message = f"hostname {validation.hostname} {error}"
        draft.refuse(f"{path}.hostname", message, "give the name of the backend")
    trust = _resolve_trust(draft, validation, path, namespace, material)
    return ir.BackendTls(
        id=identifier,
        hostname=validation.hostname.lower(),
        trust=trust,
        subject_alt_names=_alt_names(draft, validation, path),
        invalid=not draft.accepted.ok,
    )


def _resolve_trust(
    draft: TlsDraft, validation: BackendTLSPolicyValidation, path: str, namespace: str, material: Material
) -> tuple[str, ...]:
    trust: list[str] = []
    for index, reference in enumerate(validation.ca_certificate_refs):
        reason = Reason.INVALID_CA_CERTIFICATE_REF
        if is_cluster_bundle(reference.group, reference.kind):
            found, message = material.cluster_bundle(reference.name)
        elif reference.group == "" and reference.kind == "ConfigMap":
            found, message = material.bundle(namespace, reference.name)
        else:
            reason, found = Reason.INVALID_KIND, None
            label = f"{reference.group or 'core'}/{reference.kind} {reference.name}"
            message = f"{label} is not supported, only ConfigMap and ClusterTrustBundle"
        if found is not None:
            trust.append(found)
            continue
        field = f"{path}.caCertificateRefs[{index}]"
        remedy = "refer to a ConfigMap with a PEM bundle in the key ca.crt, or to a ClusterTrustBundle"
        draft.diagnostics.error(field, "invalid-ca-certificate-ref", message, remedy)
        if draft.resolved.ok:
            draft.resolved = Verdict(False, reason, message)
    if validation.ca_certificate_refs and not trust and draft.accepted.ok:
        draft.accepted = Verdict(
            False, Reason.NO_VALID_CA_CERTIFICATE, f"No CA certificate is valid: {draft.resolved.message}"
        )
    return tuple(trust)


def _alt_names(draft: TlsDraft, validation: BackendTLSPolicyValidation, path: str) -> tuple[ir.SubjectAltName, ...]:
    names: list[ir.SubjectAltName] = []
    for index, item in enumerate(validation.subject_alt_names):
        if item.type == "Hostname" and item.hostname:
            names.append(ir.HostnameSan(value=item.hostname.lower()))
        elif item.type == "URI" and item.uri:
            names.append(ir.UriSan(value=item.uri))
        else:
            field = f"{path}.subjectAltNames[{index}]"
            draft.refuse(field, f"a name of type {item.type} needs its value", "use type Hostname or URI")
    return tuple(names)
