"""Expressions of Perl, as Ingresses have them, looked for in a text in bounded time.

`re` goes back and tries every way in which a text could be cut: `(a+)+$` takes hours of a path of forty letters, and
nothing else runs meanwhile. So it is asked only where the ways are few (`choices.py`). Otherwise the native library is,
which looks at each place of the expression with each place of the text once, and finds the same: the first way that
leads to the end. What refers to groups or looks around has to be tried in every way: of such it cannot be said, as by
nginx, which has a limit too (`match_limit` of PCRE) and answers 500.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from sluicegate.engine.native import search_expression

from .choices import choices_of

#: Ways that `re` may have to try.
MAX_WAYS = 1_000_000
#: Expressions that are remembered.
MAX_REMEMBERED = 4_096


class TooCostlyError(Exception):
    """Whether an expression is in a text takes too long to say."""


class Found(NamedTuple):
    """What was found: the texts of the whole and of each group; None: the group has none."""

    groups: tuple[str | None, ...]


class Expression:
    """An expression that can be looked for. nginx goes by octets, not by letters of more than one."""

    def __init__(self, pattern: str, flags: int) -> None:
        """Take an expression of Python.

        Raises:
            re.error, OverflowError, RecursionError: it is none.
        """
        self._pattern, self._ignores_case = pattern, bool(flags & re.IGNORECASE)
        self._compiled, self._choices = re.compile(_octets(pattern), flags), choices_of(_octets(pattern), flags)

    def search(self, text: str) -> Found | None:
        """The first place where it is found.

        Raises:
            TooCostlyError: that takes too long to say.
        """
        if self._choices.ways(len(text.encode(errors="surrogateescape"))) > MAX_WAYS:
            return self.search_in_bounds(text)
        found = self._compiled.search(_octets(text))
        return None if found is None else _found(found[0], *found.groups())

    def search_in_bounds(self, text: str) -> Found | None:
        """The same by the native library."""
        octets = _octets(text)
        if octets.endswith("\n"):
            message = "$ may stand before the end of a line, which is looked for in every way"
            raise TooCostlyError(message)
        try:
            places = search_expression(self._pattern, octets.encode("latin-1"), ignores_case=self._ignores_case)
        except ValueError as error:
            raise TooCostlyError(str(error)) from error
        if places is None:
            return None
        return _found(*(None if place is None else octets[place[0] : place[1]] for place in places))


def _octets(text: str) -> str:
    """A text with a letter for each of its octets."""
    return text.encode(errors="surrogateescape").decode("latin-1")


def _found(*octets: str | None) -> Found:
    parts = (None if part is None else part.encode("latin-1").decode(errors="surrogateescape") for part in octets)
    return Found(tuple(parts))


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def expression(pattern: str, *, ignores_case: bool) -> Expression | None:
    """An expression of Perl; None: it cannot be read, and nginx would not begin."""
    plain = re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern)
    try:
        return Expression(plain, re.IGNORECASE | re.ASCII if ignores_case else re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None
