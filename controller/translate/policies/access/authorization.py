"""`authorization`: ordered rules."""

from __future__ import annotations

import re

from sluicegate import ir

from ....api.access_policy import AccessRule, AuthorizationStanza, NamedValues
from ..draft import Draft
from ..networks import check_networks
from .conditions import check_condition

_ACTIONS = frozenset({"Allow", "Deny"})
#: What a request may have or not, and how expressions look it up: by a name in quotes (group 2) or behind a dot (3).
_LOOKED_UP = {
    what: re.compile(rf"{re.escape(what)}(?:\s*\[\s*(['\"])([^'\"]+)\1\s*\]|\.([A-Za-z_]\w*)\b(?!\s*\())")
    for what in ("request.headers", "identity.claims")
}


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
    if rule.action == "Deny":
        _warn_of_failing(draft, path, rule)
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


def _warn_of_failing(draft: Draft, path: str, rule: AccessRule) -> None:
    """Tell where an expression fails, and so denies, for everybody who has not what it looks up."""
    needed = {item.name.lower() for item in (*rule.headers, *rule.claims)}
    for what, pattern in _LOOKED_UP.items():
        names = dict.fromkeys(found[2] or found[3] for found in pattern.finditer(rule.when))
        for name in names:
            quoted = re.escape(name)
            asked = rf"(['\"]){quoted}\1\s+in\s+{re.escape(what)}(?![\w.\[])|has\(\s*{re.escape(what)}\.{quoted}\b"
            if name.lower() not in needed and re.search(asked, rule.when) is None:
                message = f"{path}.when denies everybody without {what}['{name}']: an expression that fails denies"
                remedy = f"ask for it first: '{name}' in {what} && ..."
                draft.warn(f"{path}.when", "denies-without-asking", message, remedy)


def _named(values: tuple[NamedValues, ...]) -> tuple[ir.NamedValues, ...]:
    return tuple(ir.NamedValues(name=item.name, values=item.values) for item in values)
