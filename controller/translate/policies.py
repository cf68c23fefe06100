"""BackendTLSPolicies: which one holds for each backend, its IR, its status (GEP-1897).

Rules:
- A policy for a port (`sectionName`) goes before one for the whole Service; among policies for the same target the
  older wins, then namespace and name; the others are `Conflicted`.
- A policy that cannot be honoured still holds: its backends answer 500 rather than plain text or unverified TLS.
- The ancestors in its status are the Gateways whose routes lead to its target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sluicegate import ir

from ..api import BackendTLSPolicy, Diagnostic, Diagnostics, Gateway, ObjectKey, PolicyTargetReference, Service
from ..store.snapshot import Snapshot
from .gateways import by_age
from .options import Options
from .secrets import Material, is_cluster_bundle
from .status import PolicyAncestorStatus, PolicyStatus, Reference, Status, Verdict
from .topology import Read
from .values import hostname_error

#: `PolicyStatus.ancestors` takes no more.
MAX_ANCESTORS = 16

#: A Service, or one of its ports by name (empty: all ports).
Target = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class BackendUse:
    """A backend that routes use.

    Attributes:
        namespace, service, port_name: what policies name it by.
        gateways: Gateways whose routes lead to it.
    """

    id: str
    namespace: str
    service: str
    port_name: str
    gateways: tuple[ObjectKey, ...]


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What all policies come to.

    Attributes:
        backend_tls, trust: IR resources by id.
        statuses: by policy; an entry for each Gateway.
        diagnostics: what is told by policy.
        reads: ConfigMaps looked at.
        services: Services that policies name.
    """

    backend_tls: Mapping[str, ir.BackendTls]
    trust: Mapping[str, ir.Trust]
    statuses: Mapping[ObjectKey, Status]
    diagnostics: Mapping[ObjectKey, tuple[Diagnostic, ...]]
    reads: frozenset[Read]
    services: frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Judged:
    """A policy with its own verdicts, before conflicts."""

    policy: BackendTLSPolicy
    diagnostics: Diagnostics
    accepted: Verdict
    resolved: Verdict
    trust: tuple[str, ...]
    names: tuple[ir.SubjectAltName, ...]


def translate_policies(
    snapshot: Snapshot,
    uses: Iterable[BackendUse],
    gateways: Mapping[ObjectKey, Gateway],
    controller_name: str,
    options: Options,
) -> PolicyFacts:
    """Translate all policies.

    Args:
        snapshot: for policies, Services and ConfigMaps.
        uses: every backend of the IR whose Service a policy may name.
        gateways: ours, by key.
        controller_name: goes into the status.
        options: for the check of CA bundles.
    """
    material = Material(snapshot, {}, options)
    policies = sorted(
        (item for item in snapshot.table("BackendTLSPolicy").values() if isinstance(item, BackendTLSPolicy)), key=by_age
    )
    judged = {policy.key: _judge(policy, material) for policy in policies}
    winners, lost = _winners(judged, snapshot)
    uses = sorted(uses, key=lambda use: use.id)
    backend_tls: dict[str, ir.BackendTls] = {}
    for use in uses:
        owner = winners.get((use.namespace, use.service, use.port_name) if use.port_name else _whole(use))
        owner = owner or winners.get(_whole(use))
        if owner is not None:
            resource = _resource(owner, use.id)
            backend_tls[resource.id] = resource
    statuses = _statuses(judged, lost, uses, gateways, controller_name)
    return PolicyFacts(
        backend_tls=backend_tls,
        trust={name: material.trust[name] for item in backend_tls.values() for name in item.trust},
        statuses=statuses,
        diagnostics={key: found for key, item in judged.items() if (found := item.diagnostics.done())},
        reads=frozenset(material.reads),
        services=frozenset(
            (policy.namespace, target.name) for policy in policies for target in policy.spec.target_refs
        ),
    )


def _whole(use: BackendUse) -> Target:
    return (use.namespace, use.service, "")


def _judge(policy: BackendTLSPolicy, material: Material) -> _Judged:
    diagnostics = Diagnostics(policy.key)
    result = _Judged(
        policy=policy,
        diagnostics=diagnostics,
        accepted=Verdict(True, "Accepted", "The policy is accepted"),
        resolved=Verdict(True, "ResolvedRefs", "All references are resolved"),
        trust=(),
        names=(),
    )
    validation = policy.spec.validation
    path = "spec.validation"
    if validation.ca_certificate_refs and validation.well_known_ca_certificates:
        _refuse(result, path, "caCertificateRefs and wellKnownCACertificates cannot be combined", "keep one of them")
    elif validation.well_known_ca_certificates not in {"", "System"}:
        message = f"wellKnownCACertificates {validation.well_known_ca_certificates} is not known"
        _refuse(result, f"{path}.wellKnownCACertificates", message, "use System, or caCertificateRefs")
    elif not validation.ca_certificate_refs and not validation.well_known_ca_certificates:
        _refuse(result, path, "no CA certificates are given", "give caCertificateRefs or wellKnownCACertificates")
    error = hostname_error(validation.hostname.lower(), wildcard=False)
    if error is not None:
        _refuse(result, f"{path}.hostname", f"hostname {validation.hostname} {error}", "give the name of the backend")
    _resolve_trust(result, material)
    _alt_names(result)
    if policy.spec.options:
        message = "no TLS option is known, all are ignored"
        diagnostics.warning("spec.options", "options-ignored", message, "remove the options")
    return result


def _refuse(result: _Judged, field: str, message: str, remedy: str) -> None:
    result.diagnostics.error(field, "invalid-policy", message, remedy)
    if result.accepted.ok:
        result.accepted = Verdict(False, "Invalid", message)


def _resolve_trust(result: _Judged, material: Material) -> None:
    policy = result.policy
    trust: list[str] = []
    for index, reference in enumerate(policy.spec.validation.ca_certificate_refs):
        reason = "InvalidCACertificateRef"
        if is_cluster_bundle(reference.group, reference.kind):
            found, message = material.cluster_bundle(reference.name)
        elif reference.group == "" and reference.kind == "ConfigMap":
            found, message = material.bundle(policy.namespace, reference.name)
        else:
            reason, found = "InvalidKind", None
            label = f"{reference.group or 'core'}/{reference.kind} {reference.name}"
            message = f"{label} is not supported, only ConfigMap and ClusterTrustBundle"
        if found is not None:
            trust.append(found)
            continue
        field = f"spec.validation.caCertificateRefs[{index}]"
        remedy = "refer to a ConfigMap with a PEM bundle in the key ca.crt, or to a ClusterTrustBundle"
        result.diagnostics.error(field, "invalid-ca-certificate-ref", message, remedy)
        if result.resolved.ok:
            result.resolved = Verdict(False, reason, message)
    if policy.spec.validation.ca_certificate_refs and not trust and result.accepted.ok:
        result.accepted = Verdict(
            False, "NoValidCACertificate", f"No CA certificate is valid: {result.resolved.message}"
        )
    result.trust = tuple(trust)


def _alt_names(result: _Judged) -> None:
    names: list[ir.SubjectAltName] = []
    for index, item in enumerate(result.policy.spec.validation.subject_alt_names):
        if item.type == "Hostname" and item.hostname:
            names.append(ir.HostnameSan(value=item.hostname.lower()))
        elif item.type == "URI" and item.uri:
            names.append(ir.UriSan(value=item.uri))
        else:
            field = f"spec.validation.subjectAltNames[{index}]"
            _refuse(result, field, f"a name of type {item.type} needs its value", "use type Hostname or URI")
    result.names = tuple(names)


def _winners(
    judged: Mapping[ObjectKey, _Judged], snapshot: Snapshot
) -> tuple[dict[Target, _Judged], dict[tuple[ObjectKey, Target], Verdict]]:
    """Find the policy that holds for each target, and why others do not; the policies are in order of precedence."""
    winners: dict[Target, _Judged] = {}
    lost: dict[tuple[ObjectKey, Target], Verdict] = {}
    for item in judged.values():
        for index, reference in enumerate(item.policy.spec.target_refs):
            target = (item.policy.namespace, reference.name, reference.section_name or "")
            path = f"spec.targetRefs[{index}]"
            missing = _missing_target(item.policy, reference, snapshot)
            if missing:
                item.diagnostics.error(
                    path, "target-not-found", missing, "name a Service, and a port of it, that exists"
                )
                lost[(item.policy.key, target)] = Verdict(False, "TargetNotFound", missing)
                continue
            winner = winners.setdefault(target, item)
            if winner is not item:
                message = f"Service {reference.name} is the target of BackendTLSPolicy {winner.policy.name} already"
                item.diagnostics.error(path, "policy-conflict", message, "keep one policy for each port of a Service")
                lost[(item.policy.key, target)] = Verdict(False, "Conflicted", message)
    return winners, lost


def _missing_target(policy: BackendTLSPolicy, reference: PolicyTargetReference, snapshot: Snapshot) -> str:
    if reference.group not in {"", "core"} or reference.kind != "Service":
        return f"targets of kind {reference.group or 'core'}/{reference.kind} are not supported"
    service = snapshot.table("Service").get((policy.namespace, reference.name))
    if not isinstance(service, Service):
        return f"Service {policy.namespace}/{reference.name} does not exist"
    if reference.section_name and all(port.name != reference.section_name for port in service.spec.ports):
        return f"Service {policy.namespace}/{reference.name} has no port named {reference.section_name}"
    return ""


def _resource(item: _Judged, backend: str) -> ir.BackendTls:
    policy = item.policy
    return ir.BackendTls(
        id=f"{policy.namespace}/{policy.name}@{backend}",
        backend=backend,
        hostname=policy.spec.validation.hostname.lower(),
        trust=item.trust,
        subject_alt_names=item.names,
        invalid=not item.accepted.ok,
    )


def _statuses(
    judged: Mapping[ObjectKey, _Judged],
    lost: Mapping[tuple[ObjectKey, Target], Verdict],
    uses: Iterable[BackendUse],
    gateways: Mapping[ObjectKey, Gateway],
    controller_name: str,
) -> dict[ObjectKey, Status]:
    by_service: dict[tuple[str, str], list[BackendUse]] = {}
    for use in uses:
        by_service.setdefault((use.namespace, use.service), []).append(use)
    result: dict[ObjectKey, Status] = {}
    for key, item in judged.items():
        ancestors: dict[ObjectKey, Verdict] = {}
        for reference in item.policy.spec.target_refs:
            target = (key.namespace, reference.name, reference.section_name or "")
            verdict = lost.get((key, target), item.accepted)
            for use in by_service.get(target[:2], ()):
                if target[2] in {"", use.port_name} or verdict.reason == "TargetNotFound":
                    for gateway in use.gateways:
                        if gateway not in ancestors or ancestors[gateway].ok:
                            ancestors[gateway] = verdict
        if not ancestors:
            message = "no route leads to the target, so the policy has no effect"
            item.diagnostics.info("spec.targetRefs", "unused-policy", message, "refer to the Service in a route")
        result[key] = PolicyStatus(
            ancestors=tuple(
                _ancestor(item, gateways[gateway], ancestors[gateway], controller_name)
                for gateway in sorted(ancestors)[:MAX_ANCESTORS]
                if gateway in gateways
            )
        )
    return result


def _ancestor(item: _Judged, gateway: Gateway, accepted: Verdict, controller_name: str) -> PolicyAncestorStatus:
    generation = item.policy.metadata.generation
    return PolicyAncestorStatus(
        ancestor_ref=Reference.of_gateway(gateway),
        controller_name=controller_name,
        conditions=(accepted.condition("Accepted", generation), item.resolved.condition("ResolvedRefs", generation)),
    )
