"""Expressions over a request and who sent it, by the library of CEL.

The engine has its own part of CEL, with limits (`native/route/src/expression`); what it does not take, the control side
refuses. What both take they are to agree on.
"""

from __future__ import annotations

import functools
from typing import Any

try:
    import cel
except ImportError as error:  # pragma: no cover
    message = "the reference router needs common-expression-language: pip install 'sluicegate[reference]'"
    raise ImportError(message) from error

from .addresses import canonical_text
from .contract import Identity
from .names import SPACE
from .passage import Facts


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> cel.Program:
    return cel.compile(text)


def compile_error(text: str) -> str | None:
    """Why a text is no expression; None: it is one."""
    try:
        _compiled(text)
    except ValueError as error:
        return str(error)
    return None


def evaluate(text: str, variables: dict[str, Any]) -> Any:  # noqa: ANN401 (values of any type)
    """What an expression comes to.

    Raises:
        ValueError: it comes to nothing.
    """
    try:
        return _compiled(text).execute(variables)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, ZeroDivisionError, IndexError) as error:
        raise ValueError(str(error)) from error


def condition(text: str, facts: Facts, identity: Identity | None, *, failing: bool) -> bool:
    """Whether a condition holds; `failing`: where it comes to nothing, or to neither true nor false."""
    try:
        found = evaluate(text, variables_of(facts, identity))
    except ValueError:
        return failing
    return found if isinstance(found, bool) else failing


def variables_of(facts: Facts, identity: Identity | None) -> dict[str, Any]:
    """What an expression may ask of a request and of who sent it: `request`, `client`, `identity`."""
    fields: dict[str, list[str]] = {"host": [facts.authority]} if facts.authority else {}
    for name, value in facts.told:
        fields.setdefault(name.lower(), []).append(readable(value).strip(SPACE))
    return {
        "request": {
            "method": facts.method,
            "scheme": facts.scheme,
            "host": facts.host,
            "path": facts.path,
            "query": facts.query or "",
            "headers": fields,
        },
        "client": {"address": canonical_text(facts.address) or ""},
        "identity": {
            "user": identity.user if identity is not None else "",
            "claims": identity.claims if identity is not None else {},
            "scopes": list(identity.scopes) if identity is not None else [],
        },
    }


def readable(value: str) -> str:
    """A value of which some bytes may be no UTF-8: these become replacement characters."""
    return value.encode(errors="surrogateescape").decode(errors="replace")
