"""A text of nginx' configuration as directives.

Source: `ngx_conf_read_token` of nginx' `ngx_conf_file.c`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Blocks in blocks.
MAX_DEPTH = 8
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<comment>\#[^\n]*)
        | (?P<mark>[;{}])
        | "(?P<double>(?:\\.|[^"\\])*)"
        | '(?P<single>(?:\\.|[^'\\])*)'
        | (?P<word>(?:\\.|\$\{\w*\}|[^\s;{}"'\\])(?:\\.|\$\{\w*\}|[^\s;{}\\])*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\([\"'\\ ])")


class Directive(NamedTuple):
    """A directive.

    Attributes:
        name: of it.
        arguments: behind its name, without their quotes.
        block: the directives in its braces; None: it has none.
    """

    name: str
    arguments: tuple[str, ...]
    block: tuple[Directive, ...] | None = None


def parse(text: str) -> tuple[Directive, ...] | None:
    """The directives of a text; None: it is no configuration, or has a block that is a program."""
    try:
        found, end = _block(_tokens(text), 0, 0)
    except _UnreadableError:
        return None
    return found if end < 0 else None


class _UnreadableError(Exception):
    """A text that is no configuration."""


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kinds and texts."""
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise _UnreadableError
        at = token.end()
        kind = str(token.lastgroup)
        if kind in {"double", "single"}:
            found.append(("word", _ESCAPED.sub(r"\1", token[kind])))
        elif kind != "comment":
            found.append((kind, token[kind]))
    return found


def _block(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[tuple[Directive, ...], int]:
    """The directives up to the end of a block, and where it goes on; -1: the text has ended.

    Raises:
        _UnreadableError: a directive without its end, or a brace too many.
    """
    found: list[Directive] = []
    words: list[str] = []
    while at < len(tokens):
        kind, text = tokens[at]
        at += 1
        if kind == "word":
            words.append(text)
        elif text == "}":
            if words or not depth:
                raise _UnreadableError
            return tuple(found), at
        elif not words or depth > MAX_DEPTH:
            raise _UnreadableError
        else:
            inner = None
            if text == "{":
                inner, at = _block(tokens, at, depth + 1)
                if at < 0:
                    raise _UnreadableError
            found.append(Directive(words[0], tuple(words[1:]), inner))
            words = []
    if words:
        raise _UnreadableError
    return tuple(found), -1
