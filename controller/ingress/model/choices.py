"""How many ways `re` may have to try in a text, at most, until it knows whether an expression is in it."""

from __future__ import annotations

import math
import re._constants as codes  # type: ignore[import-not-found,unused-ignore]
import re._parser as parser  # type: ignore[import-not-found,unused-ignore]
from collections.abc import Iterable
from typing import Any, NamedTuple

#: A repeat of what has choices of its own: the ways grow with each letter of the text.
_ENDLESS = math.inf


class Choices(NamedTuple):
    """The choices of an expression.

    Attributes:
        fixed: ways that there are of any text.
        repeats: how often each part may be repeated besides; each is a choice.
        stays: how often `re` may look at one place of the text, though it chooses nothing: by what looks around, and
            by repeats of what may be empty, which go on where the text does not.
    """

    fixed: float = 1
    repeats: tuple[float, ...] = ()
    stays: float = 1

    def ways(self, length: int) -> float:
        """Ways in a text of so many letters, from each of which the expression may begin."""
        repeated = math.prod(min(length, most) + 1 for most in self.repeats)
        return (length + 1) * self.fixed * self.stays * repeated

    @property
    def is_one(self) -> bool:
        """Whether there is nothing to choose."""
        return self.fixed == 1 and not self.repeats


def choices_of(pattern: str, flags: int) -> Choices:
    """The choices of an expression that `re` takes."""
    return _of_all(parser.parse(pattern, flags))


def _of_all(items: Iterable[Any]) -> Choices:
    found = [_of(code, value) for code, value in items]
    repeats = tuple(most for item in found for most in item.repeats)
    return Choices(math.prod(item.fixed for item in found), repeats, math.prod(item.stays for item in found))


def _of(code: Any, value: Any) -> Choices:  # noqa: ANN401 (what `re` has of it has no type)
    if code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
        least, most, body = value
        inner = _of_all(body)
        if most == 1:
            return inner._replace(fixed=inner.fixed + 1)
        if not inner.is_one:
            return Choices(_ENDLESS)
        more = math.inf if most is codes.MAXREPEAT else int(most) - int(least)
        stays = inner.stays if body.getwidth()[0] else inner.stays * max(int(least), 1)
        return Choices(1, (more,) if more else (), stays)
    if code is codes.BRANCH:
        branches = [_of_all(branch) for branch in value[1]]
        # Each is tried, so what one of them may repeat is taken for all.
        repeats = tuple(most for branch in branches for most in branch.repeats)
        return Choices(
            sum(branch.fixed for branch in branches), repeats, math.prod(branch.stays for branch in branches)
        )
    if code is codes.SUBPATTERN:
        return _of_all(value[-1])
    if code is codes.ATOMIC_GROUP:
        return _of_all(value)
    if code in {codes.ASSERT, codes.ASSERT_NOT}:
        inner = _of_all(value[1])
        # What it may repeat besides is in `repeats`.
        return inner._replace(stays=inner.stays * (int(value[1].getwidth()[0]) + 1))
    if code is codes.GROUPREF_EXISTS:
        return _of_all([*value[1], *(value[2] or ())])
    return Choices()
