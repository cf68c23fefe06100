"""What refuses a transaction as a whole: names that lead nowhere, policies that are named where they mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluicegate import ir

from .condition import compile_error
from .substitution import check_substitution


def check_references(resources: ir.Resources, secrets: ir.Secrets, reasons: list[str]) -> None:
    """Add what is wrong to `reasons`, a line for each resource and reference."""
    listeners = {listener.id for listener in resources.listeners}
    attachments = {attachment.id for attachment in resources.attachments}
    backends = {backend.id for backend in resources.backends}
    reasons.extend(
        f"attachment {attachment.id}: names the unknown listener {identity}"
        for attachment in resources.attachments
        for identity in attachment.listeners
        if identity not in listeners
    )
    for listener in resources.listeners:
        for expression in _expressions_of(listener.filters):
            error = compile_error(expression) or ""
            if error:
                reasons.append(f"listener {listener.id}: headers: {error}")
        if any(_expressions_of(item for item in listener.filters if isinstance(item, ir.RequestHeaders))):
            reasons.append(f"listener {listener.id}: what comes before a rule is chosen has no expressions")
    for rule in resources.http_rules:
        if not rule.matches:
            reasons.append(f"http_rule {rule.id}: has no match")
        for wanted in _substitutions_of(rule):
            error = check_substitution(wanted)
            if error:
                reasons.append(f"http_rule {rule.id}: rewrite.substitution: {error}")
        for expression in _expressions_of(_filters_of(rule)):
            error = compile_error(expression) or ""
            if error:
                reasons.append(f"http_rule {rule.id}: headers: {error}")
        unknown = [f"listener {identity}" for identity in rule.listeners if identity not in listeners]
        unknown += [f"attachment {identity}" for identity in rule.attachments if identity not in attachments]
        unknown += [f"backend {identity}" for identity in _backends_of(rule) if identity not in backends]
        reasons.extend(f"http_rule {rule.id}: names the unknown {what}" for what in unknown)
    for l4_rule in resources.l4_rules:
        unknown = [f"listener {identity}" for identity in l4_rule.listeners if identity not in listeners]
        unknown += [f"attachment {identity}" for identity in l4_rule.attachments if identity not in attachments]
        named = [item.backend for item in l4_rule.backends if item.backend is not None]
        unknown += [f"backend {identity}" for identity in named if identity not in backends]
        reasons.extend(f"l4_rule {l4_rule.id}: names the unknown {what}" for what in unknown)
    reasons.extend(
        f"endpoint {endpoint.id}: names the unknown backend {endpoint.backend}"
        for endpoint in resources.endpoints
        if endpoint.backend not in backends
    )
    _check_policies(resources, secrets, reasons)


def _check_policies(resources: ir.Resources, secrets: ir.Secrets, reasons: list[str]) -> None:
    policies = {policy.id: policy for policy in resources.policies}
    naming: tuple[tuple[str, Iterable[ir.Listener | ir.HttpRule | ir.L4Rule | ir.Backend]], ...] = (
        ("listener", resources.listeners),
        ("http_rule", resources.http_rules),
        ("l4_rule", resources.l4_rules),
        ("backend", resources.backends),
    )
    for kind, owners in naming:
        for owner in owners:
            for name in owner.policies:
                if name not in policies:
                    reasons.append(f"{kind} {owner.id}: names the unknown policy {name}")
                elif kind not in policies[name].acts_on:
                    reasons.append(f"{kind} {owner.id}: names the policy {name}, which has no meaning there")
    there = {
        "trust": {item.id for item in resources.trust},
        "backends": {item.id for item in resources.backends},
        "policy_secrets": {item.id for item in secrets.policy_secrets},
    }
    for policy in resources.policies:
        if isinstance(policy, ir.StanzaBase):
            reasons.extend(
                f"policy {policy.id}: needs the {section} {name}, which is not there"
                for section, name in policy.needs()
                if name not in there[section]
            )


def _filters_of(rule: ir.HttpRule) -> tuple[ir.Filter, ...]:
    """Those of a rule and of its backends."""
    return (*rule.filters, *(item for weighted in rule.backends for item in weighted.filters))


def _substitutions_of(rule: ir.HttpRule) -> Iterator[ir.Substitution]:
    filters = _filters_of(rule)
    return (item.substitution for item in filters if isinstance(item, ir.Rewrite) and item.substitution is not None)


def _expressions_of(filters: Iterable[ir.Filter]) -> Iterator[str]:
    for item in filters:
        if isinstance(item, ir.HeaderEdit):
            yield from (field.expression for field in (*item.set, *item.add) if field.expression is not None)


def _backends_of(rule: ir.HttpRule) -> Iterator[str]:
    """Every backend that a rule names, in its backendRefs and its mirrors."""
    filters = [*rule.filters]
    for weighted in rule.backends:
        filters += weighted.filters
        if weighted.backend is not None:
            yield weighted.backend
    for rule_filter in filters:
        if isinstance(rule_filter, ir.Mirror):
            yield rule_filter.backend
