"""Rules of CRDs by the library of CEL, with the functions of Kubernetes in Python: a second opinion."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import Any

import cel
from cel import stdlib

_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
MAX_SUBDOMAIN = 253
MISSING, FAULT = "missing", "fault"


def verdict(text: str, value: object) -> object:
    """What a rule comes to for `self`: a value, `MISSING` for a field that is not there, `FAULT` for other errors."""
    context = cel.Context()
    context.add_variable("self", value)
    context.add_variable("format", {})
    for name, function in FUNCTIONS.items():
        context.add_function(name, function)
    try:
        return compiled(text).execute(context)
    except LookupError:
        return MISSING
    except (RuntimeError, TypeError, ValueError, ArithmeticError):
        return FAULT


@functools.cache
def compiled(text: str) -> cel.Program:
    return cel.compile(text)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_subdomain(value: str) -> bool:
    return len(value) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(value) is not None


def _validate(kind: str, value: str) -> cel.OptionalValue:
    if kind == "dns1123Subdomain":
        fits = _is_subdomain(value)
    else:
        prefix, slash, name = value.rpartition("/")
        fits = _QUALIFIED.fullmatch(name) is not None and (not slash or _is_subdomain(prefix))
    return cel.OptionalValue.none() if fits else cel.OptionalValue.of([f"no {kind}"])


FUNCTIONS: dict[str, Any] = {
    "split": stdlib.split,
    "substring": stdlib.substring,
    "isIP": _is_ip,
    "dns1123Subdomain": lambda _format: "dns1123Subdomain",
    "qualifiedName": lambda _format: "qualifiedName",
    "validate": _validate,
}
