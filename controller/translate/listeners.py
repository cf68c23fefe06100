"""One listener: is it supported, do its references resolve, which route kinds does it take.

A `Draft` is filled step by step (here for itself, in `conflicts` against the others) and is then the one source of both
the listener's conditions and its IR, so that the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate import ir
from sluicegate.words import listed

from ..api import Diagnostics, FrontendValidation, Gateway, Listener, ObjectKey, ObjectReference, RouteNamespaces
from ..api.names import is_subdomain
from .conditions import ConditionType, Reason
from .grants import allows, grant_remedy
from .listener_filters import Refused, translate_listener_filters
from .options import CertificateFacts
from .route_kinds import PROTOCOLS, kinds_of
from .secrets import Material, is_cluster_bundle
from .selectors import selector_fault
from .status import Kind, Verdict
from .values import MAX_PORT, hostname_error, hostnames_intersect

#: Option of a TLS listener, and its value: clients are validated as those of HTTPS are (`spec.tls.frontend`).
CLIENT_VALIDATION, FRONTEND = "sluicegate.dev/client-validation", "Frontend"
#: Protocols whose listeners are told apart by port only.
WITHOUT_HOSTNAME = frozenset({"TCP", "UDP"})

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The listener is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")
NO_CONFLICT = Verdict(False, Reason.NO_CONFLICTS, "No conflicts")


@dataclass(slots=True)
class Draft:
    """A listener while it is translated.

    Attributes:
        id: IR id, `<kind>/<namespace>/<name>/<section>`.
        owner: the Gateway or ListenerSet that it is written in.
        gateway: the Gateway that it belongs to.
        path: field in the owner, such as `spec.listeners[0]`.
        spec: as written.
        hostname: lower case; empty where the protocol has none.
        bind_port: the port to bind, with the offset.
        supported: the protocol is one that the gateway serves.
        kinds: route kinds that it takes.
        accepted, resolved, conflicted: its conditions.
        overlapping: whether `OverlappingTLSConfig` is to be set.
        tls: what an HTTPS or TLS listener terminates with; absent while no certificate resolves.
        waiting: nothing is wrong but that its Secrets are not there yet, or hold no certificate yet.
        filters: what its filters come to; None where one cannot be honoured, and the listener is not served.
        policies: what of them is none to the engine: who asks, waits, or stands in for errors.
    """

    id: str
    owner: ObjectKey
    gateway: ObjectKey
    path: str
    spec: Listener
    hostname: str
    bind_port: int
    supported: bool = True
    kinds: tuple[Kind, ...] = ()
    accepted: Verdict = ACCEPTED
    resolved: Verdict = RESOLVED
    conflicted: Verdict = NO_CONFLICT
    overlapping: bool = False
    tls: ir.ListenerTls | None = None
    waiting: bool = False
    filters: tuple[ir.ListenerFilter, ...] | None = ()
    policies: tuple[ir.StanzaBase, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the engine can serve it."""
        if self.filters is None:
            return False
        terminates = self.spec.protocol in {"HTTPS", "TLS"} and not self.passthrough
        return self.accepted.ok and not self.conflicted.ok and (self.tls is not None or not terminates)

    @property
    def passthrough(self) -> bool:
        """Whether TLS goes through it as it is."""
        return self.spec.protocol == "TLS" and self.spec.tls is not None and self.spec.tls.mode == "Passthrough"

    @property
    def anonymous(self) -> bool:
        """Whether nobody who opens a connection to it can show a certificate."""
        if self.spec.protocol == "HTTPS":
            return self.tls is not None and self.tls.client_validation is None
        return not validates(self.spec)

    @property
    def allowed(self) -> RouteNamespaces:
        """Namespaces whose routes may attach."""
        return self.spec.allowed_routes.namespaces

    def reject(self, reason: Reason, message: str) -> None:
        """Set `Accepted` to False; the first cause stays."""
        if self.accepted.ok:
            self.accepted = Verdict(False, reason, message)

    def unresolved(self, verdict: Verdict) -> None:
        """Set `ResolvedRefs` to False, the first cause stays; or say more about references that are resolved."""
        if self.resolved is RESOLVED or (self.resolved.ok and not verdict.ok):
            self.resolved = verdict


@dataclass(frozen=True, slots=True)
class ListenerScope:
    """What the listeners of one object share.

    Attributes:
        owner: the object: its namespace resolves references, its kind is what grants name.
        gateway: the Gateway whose `spec.tls.frontend` applies.
        material: resolves certificates and CA bundles.
        diagnostics: takes what is wrong with the owner.
    """

    owner: ObjectKey
    gateway: Gateway
    material: Material
    diagnostics: Diagnostics


def draft_listener(scope: ListenerScope, index: int, spec: Listener) -> Draft:
    """Translate the listener `spec.listeners[index]` as far as it does not depend on the others."""
    owner, diagnostics = scope.owner, scope.diagnostics
    draft = Draft(
        id=f"{owner.kind}/{owner.namespace}/{owner.name}/{spec.name}",
        owner=owner,
        gateway=scope.gateway.key,
        path=f"spec.listeners[{index}]",
        spec=spec,
        hostname="" if spec.protocol in WITHOUT_HOSTNAME else spec.hostname.lower(),
        bind_port=spec.port + scope.material.options.port_offset,
    )
    if spec.protocol not in PROTOCOLS:
        draft.supported = False
        _check_kinds(draft, diagnostics)
        known = f"{', '.join(PROTOCOLS[:-1])} and {PROTOCOLS[-1]}"
        message = f"protocol {spec.protocol} is not supported, only {known}"
        draft.reject(Reason.UNSUPPORTED_PROTOCOL, message)
        diagnostics.error(f"{draft.path}.protocol", "unsupported-protocol", message, f"use one of {known}")
        return draft
    _check_values(draft, diagnostics)
    _resolve_filters(draft, scope.material, diagnostics)
    _check_kinds(draft, diagnostics)
    if draft.passthrough:
        _check_options(draft, diagnostics)
        if spec.tls is not None and spec.tls.certificate_refs:
            field, message = f"{draft.path}.tls.certificateRefs", "mode Passthrough needs no certificate"
            diagnostics.warning(field, "tls-ignored", message, "remove them, or use mode Terminate")
    elif spec.protocol in {"HTTPS", "TLS"}:
        _resolve_tls(draft, scope.gateway, scope.material, diagnostics)
    elif spec.tls is not None:
        message = f"tls has no meaning for protocol {spec.protocol}"
        diagnostics.warning(f"{draft.path}.tls", "tls-ignored", message, "remove tls")
    return draft


def _check_values(draft: Draft, diagnostics: Diagnostics) -> None:
    spec, path = draft.spec, draft.path
    if not is_subdomain(spec.name):
        message = f"{spec.name!r} is not a name"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(f"{path}.name", "unsupported-value", message, "use lower-case letters, digits and -")
    if not 0 < spec.port <= MAX_PORT or not 0 < draft.bind_port <= MAX_PORT:
        message = f"port {spec.port} (bound as {draft.bind_port}) is outside 1 to {MAX_PORT}"
        draft.reject(Reason.PORT_UNAVAILABLE, message)
        diagnostics.error(f"{path}.port", "port-unavailable", message, "use another port or a smaller --port-offset")
    if spec.hostname and not draft.hostname:
        message = f"a listener of protocol {spec.protocol} takes all that comes to its port, whatever the hostname"
        diagnostics.warning(f"{path}.hostname", "hostname-ignored", message, "remove hostname")
    namespaces = spec.allowed_routes.namespaces
    fault = selector_fault(namespaces.selector) if namespaces.from_ == "Selector" else None
    if fault is not None:
        field, message = f"allowedRoutes.namespaces.selector{fault[0]}", fault[1]
        draft.reject(Reason.UNSUPPORTED_VALUE, f"{field}: {message}")
        diagnostics.error(f"{path}.{field}", "unsupported-value", message, "correct it, or use from: Same or from: All")
    error = hostname_error(draft.hostname, wildcard=True) if draft.hostname else None
    if error is not None:
        message = f"hostname {spec.hostname} {error}"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(f"{path}.hostname", "invalid-hostname", message, "use a DNS name such as www.example.com")


def _resolve_filters(draft: Draft, material: Material, diagnostics: Diagnostics) -> None:
    filters = draft.spec.filters
    if filters is None:
        return
    if draft.spec.protocol not in {"HTTP", "HTTPS"}:
        message = f"a listener of protocol {draft.spec.protocol} can have no filters, only HTTP and HTTPS can"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(f"{draft.path}.filters", "unsupported-value", message, "remove them")
        return
    try:
        made = translate_listener_filters(filters.requests, draft.owner, draft.path, draft.id, material, diagnostics)
        draft.filters, draft.policies = tuple(made.filters), tuple(made.policies)
        if made.unresolved is not None:
            draft.unresolved(Verdict(False, Reason.INVALID_LISTENER_FILTER_REF, made.unresolved.message))
    except Refused as error:
        # Skipping it could let requests through that it was to stop.
        draft.filters = None
        if error.condition == ConditionType.ACCEPTED:
            draft.reject(error.verdict.reason, error.verdict.message)
        else:
            draft.unresolved(error.verdict)
        diagnostics.error(f"{draft.path}.filters.{error.field}", "listener-filter", str(error), error.remedy)


def _check_kinds(draft: Draft, diagnostics: Diagnostics) -> None:
    possible = kinds_of(draft.spec.protocol, passthrough=draft.passthrough)
    wanted = [Kind(group=item.group, kind=item.kind) for item in draft.spec.allowed_routes.kinds]
    draft.kinds = tuple(item for item in possible if not wanted or item in wanted)
    for index, item in enumerate(wanted):
        if item not in possible:
            how = " in mode Passthrough" if draft.passthrough else ""
            message = f"routes of kind {item.group}/{item.kind} are not supported by a listener of "
            message += f"{draft.spec.protocol}{how}"
            draft.unresolved(Verdict(False, Reason.INVALID_ROUTE_KINDS, message))
            field = f"{draft.path}.allowedRoutes.kinds[{index}]"
            names = ", ".join(item.kind for item in possible)
            remedy = f"allow {names} only, or remove kinds" if names else "remove kinds"
            diagnostics.error(field, "invalid-route-kind", message, remedy)


def _resolve_tls(draft: Draft, gateway: Gateway, material: Material, diagnostics: Diagnostics) -> None:
    spec, path = draft.spec, f"{draft.path}.tls"
    if spec.tls is None or not spec.tls.certificate_refs:
        message = f"a listener of protocol {spec.protocol} needs tls.certificateRefs"
        draft.unresolved(Verdict(False, Reason.INVALID_CERTIFICATE_REF, message))
        diagnostics.error(f"{path}.certificateRefs", "invalid-certificate-ref", message, "refer to a Secret")
        return
    if spec.tls.mode != "Terminate":
        message = f"tls.mode {spec.tls.mode} is not supported for protocol {spec.protocol}"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(f"{path}.mode", "unsupported-value", message, "use mode Terminate")
        return
    _check_options(draft, diagnostics)
    certificates: list[str] = []
    lacking = 0
    for index, reference in enumerate(spec.tls.certificate_refs):
        field = f"{path}.certificateRefs[{index}]"
        found, verdict, facts = material.certificate(
            draft.owner, reference, field, Reason.INVALID_CERTIFICATE_REF, diagnostics, draft.hostname
        )
        if verdict is not None:
            draft.unresolved(verdict)
            # A reference that is not permitted, or to another kind, waits for nothing.
            is_secret = reference.group == "" and reference.kind == "Secret"
            lacking += is_secret and verdict.reason is Reason.INVALID_CERTIFICATE_REF
        if found is not None and found not in certificates:
            certificates.append(found)
            _check_names(draft, field, facts, diagnostics)
    validation = None
    is_frontend = frontend_validation(gateway, spec.port)[0] is not None
    if spec.protocol == "HTTPS" or validates(spec):
        validation = _client_validation(draft, gateway, material, diagnostics)
    elif is_frontend:
        message = "spec.tls.frontend is about HTTPS (GEP-91): the clients of this listener are not validated"
        remedy = (
            f"set tls.options[{CLIENT_VALIDATION}]: {FRONTEND}, or use mode Passthrough and validate in the backend"
        )
        diagnostics.warning(path, "client-validation-ignored", message, remedy)
    if validates(spec) and not is_frontend:
        message = (
            f"{CLIENT_VALIDATION} asks for the validation of clients, and spec.tls.frontend of the Gateway has none"
        )
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(
            f"{path}.options", "unsupported-value", message, "set spec.tls.frontend, or remove the option"
        )
    draft.waiting = lacking == len(spec.tls.certificate_refs)
    if certificates:
        draft.tls = ir.ListenerTls(certificates=tuple(certificates), client_validation=validation)


def validates(spec: Listener) -> bool:
    """Whether a TLS listener that terminates is to validate its clients as the Gateway validates those of HTTPS."""
    is_asked = spec.tls is not None and spec.tls.mode == "Terminate" and CLIENT_VALIDATION in spec.tls.options
    return spec.protocol == "TLS" and is_asked


def _check_options(draft: Draft, diagnostics: Diagnostics) -> None:
    options, path = draft.spec.tls.options if draft.spec.tls is not None else {}, f"{draft.path}.tls.options"
    asked = options.get(CLIENT_VALIDATION)
    if asked is not None and asked != FRONTEND:
        message = f"{CLIENT_VALIDATION}: {asked!r} is not known"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(path, "unsupported-value", message, f"use {FRONTEND}")
    elif asked is not None and draft.passthrough:
        message = f"{CLIENT_VALIDATION}: TLS does not end here, so nobody can be validated"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(path, "unsupported-value", message, "use mode Terminate, or validate clients in the backend")
    elif asked is not None and draft.spec.protocol == "HTTPS":
        message = f"{CLIENT_VALIDATION}: spec.tls.frontend holds for HTTPS in any case"
        diagnostics.warning(path, "options-ignored", message, "remove it")
    if options.keys() - {CLIENT_VALIDATION}:
        message = f"no other TLS option than {CLIENT_VALIDATION} is known, all others are ignored"
        diagnostics.warning(path, "options-ignored", message, "remove them")


def _check_names(draft: Draft, field: str, facts: CertificateFacts, diagnostics: Diagnostics) -> None:
    names = [name.lower() for name in facts.names]
    if names and draft.hostname and not any(hostnames_intersect(draft.hostname, name) for name in names):
        message = f"the certificate is for {listed(names)}, not for {draft.hostname}"
        diagnostics.warning(field, "certificate-name", message, "use a certificate that names the listener's hostname")


def _client_validation(
    draft: Draft, gateway: Gateway, material: Material, diagnostics: Diagnostics
) -> ir.ClientValidation | None:
    """Resolve the part of `spec.tls.frontend` that applies to the listener's port (GEP-91)."""
    validation, path = frontend_validation(gateway, draft.spec.port)
    if validation is None:
        return None
    trust: list[str] = []
    for index, reference in enumerate(validation.ca_certificate_refs):
        field = f"{path}.caCertificateRefs[{index}]"
        found, verdict = _ca_bundle(gateway.key, reference, material)
        if found is not None:
            trust.append(found)
        elif verdict is not None:
            draft.unresolved(verdict)
            remedy = (
                grant_remedy(gateway.key, reference.namespace or "", "ConfigMap")
                if verdict.reason == Reason.REF_NOT_PERMITTED
                else "refer to a ConfigMap with a PEM bundle in the key ca.crt, or to a ClusterTrustBundle"
            )
            diagnostics.error(field, "invalid-ca-certificate-ref", verdict.message, remedy)
    if not trust:
        draft.reject(Reason.NO_VALID_CA_CERTIFICATE, "no CA certificate to validate client certificates with is valid")
    mode = validation.mode
    if mode not in {"AllowValidOnly", "AllowInsecureFallback"}:
        message = f"mode {mode} is not known"
        draft.reject(Reason.UNSUPPORTED_VALUE, message)
        diagnostics.error(f"{path}.mode", "unsupported-value", message, "use AllowValidOnly")
        mode = "AllowValidOnly"
    return ir.ClientValidation(mode=ir.ClientValidationMode(mode), trust=tuple(trust))


def frontend_validation(gateway: Gateway, port: int) -> tuple[FrontendValidation | None, str]:
    """Find the validation that applies to HTTPS listeners of a port, and its field; `perPort` replaces `default`."""
    frontend = gateway.spec.tls.frontend
    if frontend is None:
        return None, ""
    for index, item in enumerate(frontend.per_port):
        if item.port == port:
            return item.tls.validation, f"spec.tls.frontend.perPort[{index}].tls.validation"
    return frontend.default.validation, "spec.tls.frontend.default.validation"


def _ca_bundle(source: ObjectKey, reference: ObjectReference, material: Material) -> tuple[str | None, Verdict | None]:
    if is_cluster_bundle(reference.group, reference.kind):
        if reference.namespace is not None:
            message = f"ClusterTrustBundle {reference.name} has no namespace, the reference to it must not name one"
            return None, Verdict(False, Reason.INVALID_CA_CERTIFICATE_REF, message)
        found, error = material.cluster_bundle(reference.name)
        return found, None if found is not None else Verdict(False, Reason.INVALID_CA_CERTIFICATE_REF, error)
    if reference.group != "" or reference.kind != "ConfigMap":
        label = f"{reference.group or 'core'}/{reference.kind} {reference.name}"
        message = f"{label} is not supported, only ConfigMap and ClusterTrustBundle"
        return None, Verdict(False, Reason.INVALID_CA_CERTIFICATE_KIND, message)
    namespace = reference.namespace or source.namespace
    if namespace != source.namespace:
        material.reads.add(("ReferenceGrant", namespace, ""))
        if not allows(material.grants.get(namespace, ()), source, "", "ConfigMap", reference.name):
            message = f"ConfigMap {namespace}/{reference.name} is in another namespace and no ReferenceGrant allows it"
            return None, Verdict(False, Reason.REF_NOT_PERMITTED, message)
    found, error = material.bundle(namespace, reference.name)
    return found, None if found is not None else Verdict(False, Reason.INVALID_CA_CERTIFICATE_REF, error)
