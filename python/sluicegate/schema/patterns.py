"""Patterns of schemas in words that Python's `re` can match in time.

Go's regexp, for which they were written, takes time in proportion to a text. `re` tries every way in which one could be
cut, and all threads of the process wait meanwhile: of forty letters and a blank behind them there are more than anybody
can wait for. `tests/unit/test_pattern_times.py` asks all patterns of all schemas for such texts.
"""

from __future__ import annotations

#: A name of parts between dots, where a pattern may begin anywhere: its last letter is all that is asked for.
_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
_TYPES = "^Hostname|IPAddress|NamedAddress|"
_REST = r"\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"

#: What a schema says: the same with one way to cut a text, or with few.
PATTERNS: dict[str, str] = {
    # The value of a header field (HTTPHeader).
    r"^[!-~]+([\t ]?[!-~]+)*$": r"^[!-~]+([\t ][!-~]+)*$",
    # AddressType, ProtocolType.
    f"{_TYPES}{_NAME}{_REST}": f"{_TYPES}[a-z0-9]{_REST}",
    rf"{_LABEL}|{_NAME}\/[A-Za-z0-9]+$": rf"{_LABEL}|[a-z0-9]\/[A-Za-z0-9]+$",
}


def for_re(pattern: str) -> str:
    """A pattern that `re` matches the same texts by, without trying for ever."""
    return PATTERNS.get(pattern, pattern)
