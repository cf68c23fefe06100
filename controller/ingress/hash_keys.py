"""Variables of nginx that choose an endpoint, as the keys of a BackendPolicy."""

from __future__ import annotations

import re

#: Variables that are parts of a key.
_PARTS = {
    "$remote_addr": "client",
    "$binary_remote_addr": "client",
    "$the_real_ip": "client",
    "$host": "host",
    "$http_host": "host",
}
_PREFIXED = (("$http_", "header:"), ("$cookie_", "cookie:"), ("$arg_", "query:"))
_MAX_PARTS = 4
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def key_of(text: str) -> tuple[str, ...]:
    """The parts of a key that variables are; empty: no key can be made of them."""
    names = _VARIABLE.findall(text)
    parts = tuple(dict.fromkeys(filter(None, (_part(f"${name}") for name in names))))
    rest = _VARIABLE.sub("", text).strip("-_:|,. /")
    return parts if not rest and len(parts) == len(set(names)) and len(parts) <= _MAX_PARTS else ()


def _part(variable: str) -> str:
    """The part of a key that a variable is; empty: none."""
    if variable in _PARTS:
        return _PARTS[variable]
    for prefix, kind in _PREFIXED:
        name = variable.removeprefix(prefix)
        if name != variable:
            return f"{kind}{name.replace('_', '-') if kind == 'header:' else name}"
    return ""
