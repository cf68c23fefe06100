"""What is published of the memory of a translation: one immutable state, with what changed since the one before."""

from __future__ import annotations

from ..api import ObjectKey
from ..store.snapshot import Snapshot
from .backend_stage import backend_key, plain_text_diagnostic
from .memo import Memo
from .options import Options
from .state import State
from .topology import Topology
from .translation import Translation


def publish(
    memo: Memo, snapshot: Snapshot, topology: Topology, parents: set[ObjectKey], options: Options
) -> Translation:
    """Publish everything; `parents`: Gateways and ListenerSets that are told something else."""
    listeners, changed_listeners = memo.listeners.publish()
    attachments, changed_attachments = memo.attachments.publish()
    rules, changed_rules = memo.http_rules.publish()
    l4_rules, changed_l4_rules = memo.l4_rules.publish()
    backends, changed_backends = memo.ir_backends.publish()
    endpoints, changed_endpoints = memo.endpoints.publish()
    policies, changed_policies = memo.ir_policies.publish()
    trust, changed_trust = memo.trust.publish()
    certificates, changed_certificates = memo.certificates.publish()
    policy_secrets, changed_policy_secrets = memo.policy_secrets.publish()
    memo.serial += 1
    state = State(
        listeners=listeners,
        attachments=attachments,
        http_rules=rules,
        l4_rules=l4_rules,
        backends=backends,
        endpoints=endpoints,
        policies=policies,
        trust=trust,
        certificates=certificates,
        policy_secrets=policy_secrets,
        serial=memo.serial,
        base=memo.serial - 1,
        changed={
            "listeners": changed_listeners,
            "attachments": changed_attachments,
            "http_rules": changed_rules,
            "l4_rules": changed_l4_rules,
            "backends": changed_backends,
            "endpoints": changed_endpoints,
            "policies": changed_policies,
            "trust": changed_trust,
            "certificates": changed_certificates,
            "policy_secrets": changed_policy_secrets,
        },
        owner=memo,
    )
    statuses, changed_statuses = memo.statuses.publish()
    diagnostics, _ = memo.diagnostics.publish()
    attached, _ = memo.attached.publish()
    assigned, _ = memo.assigned.publish()
    infrastructure, _ = memo.planes.publish()
    affected, _ = memo.affected.publish()
    unprotected = {backend_key(item): plain_text_diagnostic(item) for item in memo.plain}
    return Translation(
        snapshot,
        state,
        statuses,
        topology,
        attached,
        (diagnostics, unprotected),
        options.status_addresses,
        infrastructure=infrastructure,
        assigned=assigned,
        affected=affected,
        # What is written only in a report may differ although the status before any report is the same.
        changed=changed_statuses | parents,
        base=memo.translation.serial if memo.translation is not None else 0,
    )
