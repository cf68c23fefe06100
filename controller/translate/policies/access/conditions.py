"""What parts of an AccessPolicy have in common, checked: expressions, and names of fields."""

from __future__ import annotations

from ...values import told_name_error
from ..draft import Draft


def check_forward(draft: Draft, path: str, header: str) -> None:
    """Refuse a field that no backend may be told anything in."""
    error = told_name_error(header)
    if error:
        draft.refuse(path, f"{header!r} {error}", "name a field of your own, such as X-User")


def check_condition(draft: Draft, path: str, expression: str, wanted: str = "condition") -> None:
    """Refuse what is no condition; `exemption`: one that is asked before anybody has authenticated."""
    error = draft.material.options.checks.expression(expression, wanted) if expression else None
    if error is not None:
        remedy = "correct it: docs/policies/AccessPolicy.md says what it may ask"
        draft.refuse(path, f"the expression cannot be used: {error}", remedy)
