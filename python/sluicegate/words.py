"""Values and what is wrong with them, in words of people who write YAML and TOML: without names of Python's."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable

#: Its names of types, and ours.
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
    "datetime": "a date and time",
    "bytes": "base64",
}
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}

#: What is wrong with a field that nobody reads.
NOT_KNOWN = "not known"

_EXPECTED = re.compile(r"Expected `(?P<types>[^`]+)`(?: (?P<bound>[<>]=?) (?P<limit>\S+))?(?:, got `(?P<got>[^`]+)`)?")
_ENUM = re.compile(r"(?s)Invalid enum value (?P<value>.+)")
_KEY = re.compile(r"(?s)(?P<reason>.*) - at `key` in `\$?\.?(?P<field>[^`]*)`")
_PLACE = re.compile(r"(?s)(?P<reason>.*) - at `\$?\.?(?P<field>[^`]*)`")
_NAME = {
    "missing": re.compile(r"Object missing required field `(?P<name>[^`]+)`"),
    "unknown": re.compile(r"Object contains unknown field `(?P<name>[^`]+)`"),
}


def placed(message: str) -> tuple[str, str]:
    """Take a message apart: the field that it is about, such as `spec.port` (empty: the whole), and what is wrong.

    A field that is missing or not known is the field that it is about.
    """
    key = _KEY.fullmatch(message)
    if key is not None:
        return key["field"], f"one of its keys is no text: {plain(key['reason'])}"
    found = _PLACE.fullmatch(message)
    reason, field = (found["reason"], found["field"]) if found else (message, "")
    for what, pattern in _NAME.items():
        named = pattern.fullmatch(reason)
        if named:
            reasons = {"missing": "required, but missing", "unknown": NOT_KNOWN}
            return f"{field}.{named['name']}".lstrip("."), reasons[what]
    return field, plain(reason)


def plain(reason: str) -> str:
    """The same reason without names of Python's types."""
    found = _EXPECTED.fullmatch(reason)
    if found is None:
        enum = _ENUM.fullmatch(reason)
        if enum is not None:
            return f"{enum['value']} is not a value that is known"
        return reason[:1].lower() + reason[1:]
    wanted = " or ".join(_TYPES.get(name, name) for name in found["types"].split(" | "))
    if found["bound"]:
        wanted += f" {_BOUNDS[found['bound']]} {found['limit']}"
    got = "a fraction" if (found["types"], found["got"]) == ("int", "float") else _TYPES.get(found["got"], found["got"])
    got = f", not {got}" if got else ""
    return f"{wanted} is expected{got}"


#: Characters of a value that a message shows.
SHOWN_CHARACTERS = 80
#: Of a list that is told, so many; the others are counted. A Service may have ten thousand ports.
MAX_NAMED = 8

#: What moves the cursor, ends a line or turns the direction of text: authors of objects must not write on terminals.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_KINDS = {
    dict: "mapping",
    list: "list",
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def kind_of(value: object) -> str:
    """What a value of YAML or JSON is."""
    return _KINDS.get(type(value), "value of another kind")


def shown(value: object) -> str:
    """A value as JSON has it, and so nearly as it was written; a long one is cut."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
    return f"the boolean {text}" if isinstance(value, bool) else text


def count(number: int, word: str) -> str:
    """A number of things, such as `1 document` or `1,200 documents`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def duration_in_words(milliseconds: int) -> str:
    """A time, such as `90s` or `1500ms`."""
    if milliseconds % 1_000:
        return f"{milliseconds}ms"
    return f"{milliseconds // 1_000}s" if milliseconds % 3_600_000 else f"{milliseconds // 3_600_000}h"


def listed(names: Iterable[str]) -> str:
    """A list for people; what is too much is counted."""
    every = list(names)
    more = f" and {len(every) - MAX_NAMED:,} more" if len(every) > MAX_NAMED else ""
    return f"{', '.join(every[:MAX_NAMED])}{more}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` where a name is like one that is known; else empty."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def one_line(text: str) -> str:
    """Text as one line that a terminal shows as it is: control characters are written as escapes."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


#: Capitals whose names begin with a vowel: an HTTPRoute, but a UDPRoute.
_SPOKEN_WITH_VOWEL = frozenset("AEFHILMNORSX")


def with_article(noun: str) -> str:
    """`a Gateway`, `an AccessPolicy`, `an HTTPRoute`."""
    is_spelled = len(noun) > 1 and noun[1].isupper()
    vowel = noun[:1] in _SPOKEN_WITH_VOWEL if is_spelled else noun[:1] in {*"AEIOUaeiou"}
    return f"{'an' if vowel else 'a'} {noun}"
