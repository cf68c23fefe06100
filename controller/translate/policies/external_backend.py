"""XBackend by itself: whether a host outside the cluster can be used, and TLS to it.

It is judged and told as a policy that is attached to itself: what it says of TLS holds for its backend, its status has
an entry for each Gateway that leads to it. One that cannot be honoured answers 500 rather than plain text or unverified
TLS.
"""

from __future__ import annotations

import msgspec

from sluicegate import ir

from ...api import Diagnostics, XBackend
from ..conditions import Reason
from ..external import EXTERNAL_PROTOCOLS, external_name_error
from ..secrets import Material
from ..status import Verdict
from .backend_tls import TlsDraft, judge_validation
from .judged import Judgement


def judge_external_backend(backend: XBackend, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one XBackend."""
    draft = TlsDraft(diagnostics, Verdict(True, Reason.ACCEPTED, "The backend is accepted"))
    spec = backend.spec
    if spec.type != "ExternalHostname":
        draft.refuse(
            "spec.type", f"backends of type {spec.type} are not supported", "use ExternalHostname, or a Service"
        )
    elif spec.external_hostname is None:
        draft.refuse("spec.externalHostname", "a hostname is needed", "give externalHostname.hostname")
    else:
        hostname = spec.external_hostname.hostname.lower()
        error = external_name_error(hostname)
        if error is not None:
            draft.refuse("spec.externalHostname.hostname", f"hostname {hostname} {error}", "give the name of the host")
    if spec.port.number is None:
        draft.refuse("spec.port", "the number of a port is needed", "give port.number")
    if spec.protocol not in EXTERNAL_PROTOCOLS:
        known = ", ".join(sorted(name for name in EXTERNAL_PROTOCOLS if name))
        draft.refuse("spec.protocol", f"protocol {spec.protocol} is not supported", f"use one of {known}")
    if spec.session_persistence is not None:
        diagnostics.warning(
            "spec.sessionPersistence",
            "unsupported-field",
            "sessions of an XBackend are kept by its policy alone",
            "give sessionPersistence to an XBackendTrafficPolicy that has the XBackend as its target",
        )
    stanza = _tls(backend, draft, material)
    if not draft.accepted.ok:
        stanza = ir.BackendTls(id=str(backend.key), hostname="", invalid=True)
    return Judgement(draft.accepted, draft.resolved, {"": stanza} if stanza is not None else {})


def _tls(backend: XBackend, draft: TlsDraft, material: Material) -> ir.BackendTls | None:
    tls, path = backend.spec.tls, "spec.tls"
    if backend.spec.protocol in {"HTTP2", "WSS"} and tls.mode == "None":
        draft.refuse(f"{path}.mode", f"protocol {backend.spec.protocol} is spoken over TLS", "set tls.mode: ServerOnly")
    if tls.mode == "None":
        return None
    if tls.mode not in {"ServerOnly", "ClientAndServer"}:
        message = f"TLS mode {tls.mode} is not known"
        draft.refuse(f"{path}.mode", message, "use None, ServerOnly or ClientAndServer")
        return None
    if backend.spec.protocol == "H2C":
        draft.refuse(f"{path}.mode", "protocol H2C is HTTP/2 without TLS", "use protocol HTTP2")
    if tls.validation is None:
        draft.refuse(f"{path}.validation", "TLS needs to know whom to trust", "give tls.validation")
        return None
    made = judge_validation(draft, tls.validation, f"{path}.validation", str(backend.key), backend.namespace, material)
    if tls.mode == "ServerOnly":
        return made
    certificate = _client_certificate(backend, draft, material)
    return msgspec.structs.replace(made, certificate=certificate, invalid=made.invalid or certificate is None)


def _client_certificate(backend: XBackend, draft: TlsDraft, material: Material) -> str | None:
    """Id of what is presented; without it nothing is sent: the backend would take the gateway for somebody else."""
    reference, path = backend.spec.tls.client_certificate_ref, "spec.tls.clientCertificateRef"
    if reference is None:
        draft.refuse(path, "a client certificate is to be presented, and none is named", "refer to a Secret")
        return None
    reason = Reason.INVALID_CLIENT_CERTIFICATE_REF
    found, verdict, _ = material.certificate(backend.key, reference, path, reason, draft.diagnostics)
    if verdict is not None and draft.resolved.ok:
        draft.resolved = verdict
    if found is None and draft.accepted.ok:
        message = f"No client certificate can be presented: {draft.resolved.message}"
        draft.accepted = Verdict(False, Reason.INVALID, message)
    return found
