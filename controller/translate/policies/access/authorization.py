"""`authorization`: ordered rules."""

from __future__ import annotations

from sluicegate import ir

from ....api.access_policy import AccessRule, AuthorizationStanza, NamedValues
from ..draft import Draft
from ..networks import check_networks
from .conditions import check_condition

_ACTIONS = frozenset({"Allow", "Deny"})


def judge_authorization(draft: Draft, stanza: AuthorizationStanza | None) -> ir.AccessAuthorization | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("authorization", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessAuthorization(**head)
    path = "authorization"
    if stanza.default not in _ACTIONS:
        draft.refuse(f"{path}.default", f"{stanza.default!r} is no action", "use Allow or Deny")
    rules = tuple(_rule(draft, f"{path}.rules[{index}]", rule) for index, rule in enumerate(stanza.rules))
    return ir.AccessAuthorization(
        **head, invalid=draft.faults > faults, rules=rules, default_allow=stanza.default == "Allow"
    )


def _rule(draft: Draft, path: str, rule: AccessRule) -> ir.AccessRule:
    if rule.action not in _ACTIONS:
        draft.refuse(f"{path}.action", f"{rule.action!r} is no action", "use Allow or Deny")
    if not any((rule.clients, rule.methods, rule.headers, rule.users, rule.claims, rule.scopes, rule.when)):
        remedy = (
            "give clients, methods, headers, users, claims, scopes or when; default says what becomes of all others"
        )
        draft.refuse(path, "nothing says for which requests the rule is", remedy)
    check_networks(draft, f"{path}.clients", rule.clients)
    check_condition(draft, f"{path}.when", rule.when)
    return ir.AccessRule(
        name=rule.name,
        deny=rule.action == "Deny",
        clients=rule.clients,
        methods=rule.methods,
        headers=_named(rule.headers),
        users=rule.users,
        claims=_named(rule.claims),
        scopes=rule.scopes,
        when=rule.when,
    )


def _named(values: tuple[NamedValues, ...]) -> tuple[ir.NamedValues, ...]:
    return tuple(ir.NamedValues(name=item.name, values=item.values) for item in values)
