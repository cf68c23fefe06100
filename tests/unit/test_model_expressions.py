"""Expressions of Ingresses, as `migrate --verify` looks for them: as `re` finds them, and never for long."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import pytest
from test_pattern_times import in_time

from sluicegate.controller.ingress.model.expressions import Expression, Expressions, TooCostlyError, expression
from sluicegate.controller.ingress.model.matching import Names, find_location, rewritten
from sluicegate.controller.ingress.model.rules import Rules
from sluicegate.controller.ingress.model.servers import DEFAULT_SERVER, Location, Server
from sluicegate.engine.native import search_expression

EXPRESSIONS = Expressions(search_expression)
HOSTILE = (
    "/(a+)+$",
    "/(a*)*$",
    "/(a|a)*$",
    "/(a|aa)+$",
    "/(a|b|ab)*c",
    "/([a-z]+)*$",
    "/(.*)*x",
    "/(.*a){25}$",
    "/.*.*.*.*.*.*.*.*b",
    "/" + "a?" * 30 + "a" * 30 + "$",
    "/" + "(?:a|a)" * 40 + "$",
    "/(?=(a+)+$)b",
    "/(?:a+)++!",
    "/((a{1,9}){1,9}){1,9}$",
    r"/(a+)+\1$",
    r"/((a+)+)+(?<!a)$",
    # Nothing to choose, and yet no end: of what is empty, and of what looks around at each place.
    "/(?:(?:){10000}){3000}",
    "/(?:(?:(?=.)){9000}){9000}",
    r"()/(?:(?:\1){9000}){9000}",
    "(?:(?!(?:(?!a{300}b)a){300}b)a){300}x",
)
#: What refers to a group or looks around: only `re` can say.
EVERY_WAY = ("/(?!internal)(.*)", r"/(\w+)-\1", "/(?>a+)b", "/(?<=/)a(?<!b)")
PLAIN = (
    "/api(/|$)(.*)",
    "/v[0-9]+/(?:users|groups)/?$",
    "/(/[^/]+)*",
    "/(?i:AbC)d",
    r"/\d{2,3}[^\s/]*",
    "/(a)?(b)?c",
    "/(?P<name>[a-c]*?)b",
    r"/(a|ab)(c|bcd)(d*)",
    r"/\ba+\b|/b",
    "/(a*)(a*)b{0,2}$",
    "/(a|b)*?b",
    "/[^a-b]x",
    "^/$",
    "/(?:(a)|b)*",
)


def location(pattern: str) -> Location:
    return Location(path=pattern, exact=False, rules=Rules(regex=True), place=("", ""), upstream=None)


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_hostile_expression_ends(pattern: str) -> None:
    server = Server(name="a.test", locations=[location(pattern)])
    names = Names([Server(name=DEFAULT_SERVER), Server(name="a.test", aliases=(f"~^{pattern[1:]}",))], EXPRESSIONS)
    for text in ("/" + "a" * 60 + "!", "/" + "a" * 2_000 + "!", "/" + "ab" * 500 + "!"):
        searches: tuple[Callable[[], object], ...] = (
            lambda text=text: find_location(server, text, EXPRESSIONS),  # type: ignore[misc]
            lambda text=text: rewritten(location(pattern), text, "/$1", EXPRESSIONS),  # type: ignore[misc]
            lambda text=text: EXPRESSIONS.find(pattern, text, ignores_case=False),  # type: ignore[misc]
            lambda text=text: names.find(text[1:]),  # type: ignore[misc]
        )
        for search in searches:
            with in_time(pattern), contextlib.suppress(TooCostlyError):
                search()


@pytest.mark.parametrize("pattern", HOSTILE[:7])
def test_what_a_hostile_expression_finds(pattern: str) -> None:
    """Of short texts the two say the same, but for a group that is repeated with no letter."""
    for text in ("/aaaa", "/aab", "/abab!", "/x", "/", "", "/abc"):
        found, expected = own(pattern, text), re.search(pattern, text, re.ASCII)
        assert (found and found[0]) == (expected and expected[0]), text


def test_letters_are_octets() -> None:
    """As in nginx, whichever of the two looks."""
    for find in (own, by_re):
        assert find("/[^a]$", "/é") is None
        assert find("/(.*)$", "/é") == ("/é", "é")
        assert find("/é+", "/É/é") == ("/é",)


def own(pattern: str, text: str, *, ignores_case: bool = False) -> tuple[str | None, ...] | None:
    """What the search in bounded time finds."""
    found = Expression(pattern, re.ASCII | (re.IGNORECASE if ignores_case else 0)).find_in_bounds(
        text, search_expression
    )
    return found.groups if found is not None else None


def by_re(pattern: str, text: str, *, ignores_case: bool = False) -> tuple[str | None, ...] | None:
    """What `re` finds."""
    found = expression(pattern, ignores_case=ignores_case)
    assert found is not None
    groups = found.find(text, search_expression)
    return groups.groups if groups is not None else None


@pytest.mark.parametrize("ignores_case", [False, True])
@pytest.mark.parametrize("pattern", PLAIN)
def test_both_ways_find_the_same(pattern: str, ignores_case: bool) -> None:
    chosen = random.Random(pattern)
    pieces = ["/", "a", "b", "c", "d", "-", "1", "A", "B", "é", " ", "api", "users", "/a", "v2", "internal"]
    texts = ["".join(chosen.choices(pieces, k=size)) for size in range(9) for _ in range(60)]
    for text in ("/api", "/api/x", "/v1/users/", "//a/b", "/abcd", "/ab-ab", "/Ab-aB", *texts):
        assert own(pattern, text, ignores_case=ignores_case) == by_re(pattern, text, ignores_case=ignores_case), text


@pytest.mark.parametrize("pattern", EVERY_WAY)
def test_what_has_to_be_tried_in_every_way(pattern: str) -> None:
    """`re` says it where the ways are few; otherwise nobody does."""
    found = expression(pattern, ignores_case=False)
    assert found is not None
    assert (found.find("/ab", search_expression) is None) == (re.search(pattern, "/ab") is None)
    with pytest.raises(TooCostlyError):
        own(pattern, "/ab")


def nobody(_pattern: str, _text: bytes, _ignores_case: bool) -> None:
    raise AssertionError


def test_usual_expressions_are_left_to_re() -> None:
    """It has all of Perl's."""
    text = "/something/that/is/longer/than/most?paths" * 3
    for pattern in (
        "^/api(/|$)(.*)",
        "^/v[0-9]+/(users|groups)/?$",
        "/(.*)",
        "^/a/b",
        "^/(?!x).*[.]php",
        "/(?=.*s)s",
        "/(?:(?!php).)*$",
    ):
        found = expression(pattern, ignores_case=True)
        assert found is not None
        found.find(text, nobody)


def test_what_cannot_be_read() -> None:
    for pattern in ("(", "[", "a**", "(?<=a+)b", "(?P<1>a)", "a{99999999999999999999}"):
        assert expression(pattern, ignores_case=True) is None, pattern


def test_what_is_too_large_is_told() -> None:
    found = expression("(a{0,999}){0,999}b", ignores_case=True)
    assert found is not None
    with pytest.raises(TooCostlyError, match="limit"):
        found.find("a" * 100, search_expression)
