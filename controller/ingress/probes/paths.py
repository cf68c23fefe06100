"""Paths at the edges of one that an Ingress has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import quote

from .examples import example

#: Texts that are made of one expression.
EXAMPLES = 3
#: Characters that make an expression of a path, and have no place in a request.
_META = frozenset("^$*+?()[]{}|\\")


def edges(path: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Targets at the edges of a path, and what each looks at.

    Args:
        path: as it is written; one that may be an expression also gives texts that it matches.
        chance: decides what is left open.
    """
    bases = {written(path)} if not _META & set(path) else set[str]()
    while len(bases) < EXAMPLES and _META & set(path):
        before = len(bases)
        for _ in range(EXAMPLES):
            bases.add(written(example(path, chance)))
        if len(bases) == before:
            break
    for base in sorted(bases):
        yield from _around(base)


def _around(path: str) -> Iterator[tuple[str, str]]:
    bare = path.rstrip("/")
    yield path, "the path"
    yield f"{bare}/", "with a slash at the end"
    yield bare or "/", "without a slash at the end"
    yield f"{bare}/below/it", "below the path"
    yield f"{bare or '/'}x", "a longer segment"
    yield f"{path}?a=1&b=%20/", "a query"
    if len(bare) > 2:
        yield bare[:-1], "a shorter segment"
    if bare.swapcase() != bare:
        yield bare.swapcase(), "another case"
    if "." in bare:
        yield bare.replace(".", "x", 1), "another character for the full stop"
    yield f"/{path}", "two slashes"
    yield f"/other/..{path}", "dots"
    yield f"{bare}/./below", "a dot"
    letter = next((number for number, each in enumerate(path) if each.isalnum()), None)
    if letter is not None:
        yield f"{path[:letter]}%{ord(path[letter]):02x}{path[letter + 1 :]}", "a letter that is encoded"
    yield f"{bare or '/'}%2Fbelow", "a slash that is encoded"


def written(text: str) -> str:
    """A path as a request has it.

    Args:
        text: a path as a manifest has it.
    """
    found = quote(text, safe="/%:@!$&'()*+,;=~")
    return found if found.startswith("/") else f"/{found}"
