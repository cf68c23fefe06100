"""Expressions of Perl, as Ingresses have them, looked for in a text in bounded time.

`re` goes back and tries every way in which a text could be cut: `(a+)+$` takes hours of a path of forty letters, and
nothing else runs meanwhile. So it is asked only where the ways are few (`choices.py`). Otherwise a search is
that looks at each place of the expression with each place of the text once, and finds the same: the first way that
leads to the end. What refers to groups or looks around has to be tried in every way: of such it cannot be said, as by
nginx, which has a limit too (`match_limit` of PCRE) and answers 500.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from .choices import choices_of

#: Ways that `re` may have to try.
MAX_WAYS = 1_000_000
#: Expressions that are remembered.
MAX_REMEMBERED = 4_096


#: Looks for an expression in octets in bounded time: begin and end of the whole and of each group; None: it is nowhere.
#: Raises ValueError where that cannot be said.
Search: TypeAlias = Callable[[str, bytes, bool], Sequence[tuple[int, int] | None] | None]


class TooCostlyError(Exception):
    """Whether an expression is in a text takes too long to say."""


class Found(NamedTuple):
    """What was found: the texts of the whole and of each group; None: the group has none."""

    groups: tuple[str | None, ...]


class Expressions:
    """Looks for expressions in texts."""

    def __init__(self, search: Search) -> None:
        """Take what looks for those that `re` is not asked for."""
        self._search = search

    def find(self, pattern: str, text: str, *, ignores_case: bool) -> Found | None:
        """The first place where an expression of Perl is found; one that cannot be read is nowhere.

        Raises:
            TooCostlyError: that takes too long to say.
        """
        found = expression(pattern, ignores_case=ignores_case)
        return None if found is None else found.find(text, self._search)


class Expression:
    """An expression that can be looked for. nginx goes by octets, not by letters of more than one."""

    def __init__(self, pattern: str, flags: int) -> None:
        """Take an expression of Python.

        Raises:
            re.error, OverflowError, RecursionError: it is none.
        """
        self._pattern, self._ignores_case = pattern, bool(flags & re.IGNORECASE)
        self._compiled, self._choices = re.compile(_octets(pattern), flags), choices_of(_octets(pattern), flags)

    def find(self, text: str, search: Search) -> Found | None:
        """The first place where it is found; `search`: looks for it where `re` is not asked.

        Raises:
            TooCostlyError: that takes too long to say.
        """
        if self._choices.ways(len(text.encode(errors="surrogateescape"))) > MAX_WAYS:
            return self.find_in_bounds(text, search)
        found = self._compiled.search(_octets(text))
        return None if found is None else _found(found[0], *found.groups())

    def find_in_bounds(self, text: str, search: Search) -> Found | None:
        """The same without `re`."""
        octets = _octets(text)
        if octets.endswith("\n"):
            message = "$ may stand before the end of a line, which is looked for in every way"
            raise TooCostlyError(message)
        try:
            places = search(self._pattern, octets.encode("latin-1"), self._ignores_case)
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
