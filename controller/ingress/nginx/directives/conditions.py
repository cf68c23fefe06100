"""What `if` asks of a request, as a CEL expression.

Source: `ngx_http_rewrite_if_condition` of nginx.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ...expressions import quoted, some_field
from ..variables import variable

_CONDITION = re.compile(r"\$(?P<name>\w+)(?:\s*(?P<operator>!?~\*?|!?=)\s*(?P<value>.*))?", re.DOTALL)


def condition(arguments: Sequence[str], expressible: Callable[[str], bool]) -> str | None:
    """The expression for what stands behind `if`; None: nothing says the same.

    Args:
        arguments: of the directive, with the parentheses.
        expressible: whether RE2 can say an expression.
    """
    text = " ".join(arguments).strip()
    found = _CONDITION.fullmatch(text[1:-1].strip()) if text.startswith("(") and text.endswith(")") else None
    if found is None:
        return None
    operator, value, name = found["operator"] or "", found["value"] or "", found["name"]
    field = name.removeprefix("http_")
    of_field = field not in {name, "host"}
    asked = "each" if of_field else variable(name)
    test = _test(operator.removeprefix("!"), value, asked, expressible) if asked is not None else None
    if test is None:
        return None
    whole = some_field(field.replace("_", "-"), test) if of_field else f"({test})"
    return f"!{whole}" if operator.startswith("!") else whole


def _test(operator: str, value: str, asked: str, expressible: Callable[[str], bool]) -> str | None:
    """A test of what is asked for; None: nothing says the same."""
    if operator.startswith("~"):
        pattern = f"(?i){value}" if operator == "~*" else value
        return f"{asked}.matches({quoted(pattern)})" if expressible(pattern) else None
    if "$" in value:
        return None
    return f"{asked} == {quoted(value)}" if operator else f"{asked} != '' && {asked} != '0'"
