"""Cipher suites that policies name."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate import ir

#: By their names in the registry of IANA.
SUITES = {item.value: item for item in ir.CipherSuite}


def cipher_suites(names: Iterable[str]) -> tuple[tuple[ir.CipherSuite, ...], tuple[str, ...]]:
    """Those that are spoken, and the names of all others, both in one order and each once."""
    wanted = dict.fromkeys(names)
    return tuple(suite for name, suite in SUITES.items() if name in wanted), tuple(sorted(set(wanted) - set(SUITES)))
