"""Parts of a request as people write them: a field, a port, and a whole curl line as they paste it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sluicegate.testing.request import RequestError

#: Options of curl with a value that say nothing about who takes the request.
_IGNORED = frozenset(
    {"--resolve", "-o", "--output", "-m", "--max-time", "--connect-timeout", "-w", "--write-out", "--cacert"}
)
_SWITCHES = frozenset("skvifSLNgG#0")
_DATA = frozenset({"-d", "--data", "--data-raw", "--data-binary", "--json", "--data-urlencode", "-F", "--form"})
#: Options of curl whose value is a field of the request.
_FIELDS = {
    "-A": "user-agent",
    "--user-agent": "user-agent",
    "-e": "referer",
    "--referer": "referer",
    "-b": "cookie",
    "--cookie": "cookie",
}


class _Line:
    """A curl line, word by word."""

    def __init__(self) -> None:
        self.method, self.url, self.has_data = "", "", False
        self.headers: list[tuple[str, str]] = []
        self.port: int | None = None

    def take(self, word: str, rest: Iterator[str]) -> None:
        """Take a word, with its value if it has one."""
        if not word.startswith("-"):
            self.url = self.url or word
        elif word in {"-X", "--request"}:
            self.method = _value(rest, word)
        elif word in {"-H", "--header"}:
            self.headers.append(header_of(_value(rest, word)))
        elif word in _FIELDS:
            self.headers.append((_FIELDS[word], _value(rest, word)))
        elif word == "--url":
            self.url = _value(rest, word)
        elif word in {"-I", "--head"}:
            self.method = self.method or "HEAD"
        elif word in _DATA:
            _value(rest, word)
            self.has_data = True
        elif word == "--connect-to":
            self.port = port_of(_value(rest, word).rpartition(":")[2])
        elif word in _IGNORED:
            _value(rest, word)
        elif word in {"-u", "--user"}:
            raise RequestError("-u: say who asks in its own field, as basic:anna; passwords are not wanted here")


def header_of(text: str) -> tuple[str, str]:
    """Read a header field.

    Raises:
        RequestError: it has no name.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise RequestError(f"{text!r} is no header: write one as 'x-user: anna'")
    return name, value.strip(" \t")


def port_of(text: str | None, option: str = "port") -> int | None:
    """Read a port; None: there is nothing.

    Raises:
        RequestError: it is no number; the message names the option.
    """
    written = (text or "").strip()
    if not written:
        return None
    if not (written.isascii() and written.isdigit()):
        raise RequestError(f"{option}: {text!r} is not a whole number")
    return int(written)


class CurlLine(NamedTuple):
    """What a line asks for.

    Attributes:
        request: method and URL.
        headers: its fields.
        port: that it connects to, where `--connect-to` says it.
    """

    request: str
    headers: list[tuple[str, str]]
    port: int | None


def is_curl(text: str) -> bool:
    """Whether a text is meant as a curl line."""
    return text.split(maxsplit=1)[:1] == ["curl"]


def read_curl(text: str) -> CurlLine:
    """Read a curl line.

    Raises:
        RequestError: it is none; the message says what of it.
    """
    try:
        words = shlex.split(text.replace("\\\r\n", " ").replace("\\\n", " "))[1:]
    except ValueError as error:
        raise RequestError(f"the curl line cannot be read: {error}") from None
    line, rest = _Line(), iter(_apart(words))
    for word in rest:
        line.take(word, rest)
    if not line.url:
        raise RequestError("the curl line has no URL")
    return CurlLine(f"{line.method or ('POST' if line.has_data else 'GET')} {line.url}", line.headers, line.port)


def _apart(words: Iterable[str]) -> Iterable[str]:
    """Options of one letter, each by itself; its value by itself too."""
    for word in words:
        if not word.startswith("-") or word.startswith("--") or len(word) <= 2:
            name, sign, value = word.partition("=")
            yield from (name, value) if word.startswith("--") and sign else (word,)
            continue
        letters = word[1:]
        while letters and letters[0] in _SWITCHES:
            yield f"-{letters[0]}"
            letters = letters[1:]
        if letters:
            yield f"-{letters[0]}"
            if letters[1:]:
                yield letters[1:] if letters[0] not in "I" else f"-{letters[1:]}"


def _value(rest: Iterator[str], option: str) -> str:
    try:
        return next(rest)
    except StopIteration:
        raise RequestError(f"the curl line ends after {option}") from None
