"""What parts of an AccessPolicy have in common, checked: expressions, and names of fields."""

from __future__ import annotations

from ....api import AccessPolicy, Object
from ...values import spelling, told_name_error
from ..draft import Draft


def check_forward(draft: Draft, path: str, header: str) -> None:
    """Refuse a field that no backend may be told anything in, and one in which the policy looks for credentials.

    What clients send under the name is taken out before anybody looks, so nobody would ever get in.
    """
    error = told_name_error(header)
    if not error and spelling(header) in _credential_fields(draft.policy):
        error = "is where this policy looks for credentials, and what tells users is taken out of requests before"
    if error:
        draft.refuse(path, f"{header!r} {error}", "name a field of your own, such as X-User")


def _credential_fields(policy: Object) -> frozenset[str]:
    """Header fields in which clients prove who they are, as `spelling` has them."""
    if not isinstance(policy, AccessPolicy):
        return frozenset()
    spec = policy.spec
    stanzas = (stanza for stanza in (spec.api_key, spec.jwt) if stanza is not None and not stanza.off)
    fields = [source.header for stanza in stanzas for source in stanza.from_ if source.header]
    if spec.basic is not None and not spec.basic.off:
        fields.append("authorization")
    return frozenset(map(spelling, fields))


def check_condition(draft: Draft, path: str, expression: str, wanted: str = "condition") -> None:
    """Refuse what is no condition; `exemption`: one that is asked before anybody has authenticated."""
    error = draft.material.options.checks.expression(expression, wanted) if expression else None
    if error is not None:
        remedy = "correct it: docs/policies/AccessPolicy.md says what it may ask"
        draft.refuse(path, f"the expression cannot be used: {error}", remedy)
