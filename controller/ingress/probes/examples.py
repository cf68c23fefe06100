"""Texts that a regular expression matches, so that paths which are expressions can be asked for."""

from __future__ import annotations

import random
import re

#: Of a repetition that has no end, so many times at most.
MAX_TIMES = 2
#: Characters of an expression that are looked at.
MAX_LENGTH = 1024

_QUANTIFIER = re.compile(r"(?:([*+?])|\{([0-9]{1,3})(,?)([0-9]{0,3})\})[?+]?")
_GROUP = re.compile(r"\(\?(?:P?<[A-Za-z_][A-Za-z0-9_]*>|[a-zA-Z-]*:|[a-zA-Z-]+\))")
_LOOK = re.compile(r"\(\?<?[=!]")
_ESCAPES = {"d": "7", "w": "w", "s": " ", "D": "x", "W": "-", "S": "x", "b": "", "B": "", "A": "", "z": "", "Z": ""}


def example(pattern: str, chance: random.Random) -> str:
    """A text that the expression matches, as far as it is simple: groups, classes, alternatives, repetitions."""
    text, _ = _alternatives(pattern[:MAX_LENGTH], 0, chance)
    return text


def _alternatives(pattern: str, at: int, chance: random.Random) -> tuple[str, int]:
    """One of the alternatives up to the end or the closing bracket, and where that is."""
    found: list[str] = []
    while True:
        text, at = _sequence(pattern, at, chance)
        found.append(text)
        if at >= len(pattern) or pattern[at] == ")":
            return chance.choice(found), at
        at += 1  # the bar


def _sequence(pattern: str, at: int, chance: random.Random) -> tuple[str, int]:
    parts: list[str] = []
    while at < len(pattern) and pattern[at] not in "|)":
        text, at = _atom(pattern, at, chance)
        quantifier = _QUANTIFIER.match(pattern, at)
        times = 1
        if quantifier is not None:
            at = quantifier.end()
            times = chance.randint(*_bounds(quantifier))
        parts.append(text * times)
    return "".join(parts), at


def _bounds(quantifier: re.Match[str]) -> tuple[int, int]:
    sign, least, comma, most = quantifier.groups()
    if sign is not None:
        return (0 if sign in "*?" else 1), (1 if sign == "?" else MAX_TIMES)
    low = min(int(least), MAX_LENGTH)
    if not comma:
        return low, low
    return low, max(low, min(int(most or low + MAX_TIMES), low + MAX_TIMES))


def _atom(pattern: str, at: int, chance: random.Random) -> tuple[str, int]:
    sign = pattern[at]
    if sign == "(":
        looks = _LOOK.match(pattern, at) is not None
        opened = _GROUP.match(pattern, at)
        if opened is not None and opened[0].endswith(")"):
            return "", opened.end()  # flags
        start = opened.end() if opened is not None else at + (3 if looks else 1)
        text, end = _alternatives(pattern, start, chance)
        return ("" if looks else text), end + 1
    if sign == "[":
        return _class(pattern, at)
    if sign == "\\":
        escaped = pattern[at + 1 : at + 2]
        return _ESCAPES.get(escaped, escaped), at + 2
    if sign in "^$":
        return "", at + 1
    return ("x" if sign == "." else sign), at + 1


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A character of a class: the first that it names, or one that it does not where it is a negation."""
    end = pattern.find("]", at + (3 if pattern[at + 1 : at + 2] == "^" else 2))
    if end < 0:
        return "", len(pattern)
    content = pattern[at + 1 : end]
    if content.startswith("^"):
        return next((each for each in "xya0-" if each not in content), "x"), end + 1
    if content.startswith("\\"):
        return _ESCAPES.get(content[1:2], content[1:2]), end + 1
    return content[:1], end + 1
