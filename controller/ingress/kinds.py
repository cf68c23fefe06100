"""Kinds of values of settings: what each takes, and what holds where a value is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sluicegate.words import listed

from . import values

#: Of lists of which a part may be wrong.
_REST = "what is right of it holds"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a setting may say.

    Attributes:
        wanted: what is expected, in words.
        takes: whether a text is one.
        instead: what is so where it is none; empty: the default holds. Where this is not empty, readers get the text
            itself, and leave out what is wrong of it.
        may_be_empty: nothing is as good as not written.
    """

    wanted: str
    takes: Callable[[str], bool]
    instead: str = ""
    may_be_empty: bool = False


def _is_size_of_buffers(text: str) -> bool:
    """Such as `4 8k`."""
    parts = text.split()
    return len(parts) == 2 and values.number(parts[0]) is not None and values.octets(parts[1]) is not None


def _is_list(takes: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda text: all(takes(item) for item in values.words(text))


def _is_status(text: str) -> bool:
    found = values.number(text)
    return found is not None and 400 <= found < 600


def _is_url(text: str) -> bool:
    """As `parser.StringToURL` of ingress-nginx has it; variables of nginx may stand in it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) and " " not in text


def choice(*names: str) -> Kind:
    """One of some words."""
    return Kind(f"one of {listed(names)}", frozenset(names).__contains__, may_be_empty=True)


def words(*names: str) -> Kind:
    """Some of some words, with blanks between."""
    return Kind(f"some of {listed(names)}", lambda text: bool(text) and set(text.split()) <= set(names))


def networks(instead: str = _REST) -> Kind:
    """Addresses and CIDR blocks; `instead` is what is so where one of them is none."""
    return Kind("a list of CIDR blocks", _is_list(lambda item: values.network(item) is not None), instead)


FLAG = Kind("true or false", lambda text: values.flag(text) is not None)
NUMBER = Kind("a whole number", lambda text: values.number(text) is not None)
SIZE = Kind("a size such as 8m", lambda text: values.octets(text) is not None)
BUFFERS = Kind("a number and a size such as 4 8k", _is_size_of_buffers)
SECONDS = Kind("a time such as 60s", lambda text: values.seconds(text) is not None)
STATUS = Kind("a status from 400 to 599", _is_status)
STATUSES = Kind("a list of statuses from 400 to 599", _is_list(_is_status), _REST)
PATHS = Kind("a list of paths", _is_list(values.is_path), _REST)
TOKEN = Kind("a name", values.is_token, may_be_empty=True)
URL = Kind("a URL with scheme and host", _is_url, may_be_empty=True)
FIELDS = Kind("a list of names of fields", _is_list(values.is_token), _REST)
