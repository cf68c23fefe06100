"""Regular expressions of Perl (PCRE), as paths of an Ingress are, said for RE2 which looks at whole values.

nginx searches `^PATH` in the path, in any case. So what is made of `PATH` begins with `(?i)` and ends with `.*`. All
are made in one way, that longer paths stay longer: the gateway takes the longest expression first, as ingress-nginx
does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: What RE2 does not know, and what it is called.
_UNKNOWN = (
    (re.compile(r"\(\?<?[=!]"), "looks around (`(?=`, `(?!`, `(?<`)"),
    (re.compile(r"\(\?>"), "is atomic (`(?>`)"),
    (re.compile(r"\(\?(?:R|\d|&|P>|\()"), "calls or asks for another group"),
    (re.compile(r"\\[1-9]"), "refers to what a group matched (`\\1`)"),
    (re.compile(r"\\[gkKGRXhHZ]"), "has an escape of Perl that RE2 does not have"),
    (re.compile(r"[*+?}]\+"), "is possessive (`++`)"),
    (re.compile(r"\(\?[a-zA-Z]*x"), "is spaced out (`(?x)`)"),
)
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
#: What means something else than itself in an expression. A full stop does too, but hardly any author meant that.
_META = re.compile(r"[\\^$*+?()\[\]{}|]")
#: `/api(/|$)(.*)` and its like: the path below a prefix is what the second group matches.
_STRIP = re.compile(r"(?P<prefix>(?:/[-\w~.%]+)*)(?P<rest>\(/\|\$\)\(\.\*\)|/\(\)\(\.\*\)|/\(\.\*\))\$?")


def reason(pattern: str) -> str:
    """Why RE2 cannot say an expression, as far as its form tells; empty: it can."""
    plain = _CLASS.sub("[]", pattern)
    for found, message in _UNKNOWN:
        hit = found.search(plain)
        # A backslash before it makes it a literal; `\\1` is two of them.
        if hit is not None and not _is_escaped(plain, hit.start()):
            return f"it {message}, which RE2 cannot say"
    return ""


def _is_escaped(text: str, at: int) -> bool:
    before = text[:at]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def has_meta(path: str) -> bool:
    """Whether a path means something else than itself as an expression, full stops aside."""
    return _META.search(path) is not None


def literal(path: str) -> str:
    """What all that an expression matches begins with."""
    found = _META.search(path)
    if found is None:
        return path
    end = found.start() - (found[0] in "*?{")
    return "" if has_alternatives(path) else path[: max(end, 0)]


def has_alternatives(pattern: str) -> bool:
    """Whether `|` stands outside of all groups: then `^` before it holds for the first alternative only."""
    depth = 0
    for character in _CLASS.sub("", _ESCAPED.sub("", pattern)):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            return True
    return False


def groups(pattern: str) -> int:
    """How many groups an expression has that are counted."""
    plain = _CLASS.sub("", _ESCAPED.sub("", pattern))
    return len(re.findall(r"\((?!\?)|\(\?P?<(?![=!])", plain))


def path_pattern(path: str, *, ignores_case: bool = True, wrapped: bool = False) -> str:
    """What a whole path has to match for nginx's `~* "^PATH"` to be found in it, or `~ "^PATH"`.

    Args:
        path: of nginx.
        ignores_case: it matches in any case.
        wrapped: in the form that alternatives need; all of a host have it then, so that longer ones stay longer.
    """
    case = "(?i)" if ignores_case else ""
    if wrapped or has_alternatives(path):
        return f"{case}.*(?:^{path}).*"
    return f"{case}{path.removeprefix('^')}.*"


def searched(pattern: str) -> str:
    """What a whole value has to match for an expression to be found in it."""
    return f".*(?:{pattern}).*"


class Strip(NamedTuple):
    """A path and a target that take a prefix off.

    Attributes:
        prefix: that is taken off; `/` where it is empty.
        replacement: what stands in its place.
    """

    prefix: str
    replacement: str


def strip(path: str, target: str) -> Strip | None:
    """What a rewrite takes off, where that is all that it does: `/api(/|$)(.*)` to `/new/$2`. None: it does more.

    Both take the same paths then, and make the same of them: `/api`, and whatever is below `/api/`.
    """
    found = _STRIP.fullmatch(path.removeprefix("^"))
    if found is None:
        return None
    prefix, rest = found["prefix"], found["rest"]
    if rest != "(/|$)(.*)" and prefix:
        # `/api/(.*)` does not take `/api`, `/api/?(.*)` takes `/apiary`: a prefix does otherwise.
        return None
    head, mark, tail = target.partition("$1" if rest == "/(.*)" else "$2")
    if not mark or tail or "$" in head or not (head.startswith("/") and head.endswith("/")):
        return None  # `/new$2` glues the rest to the last segment
    return Strip(prefix or "/", head)


def filled(target: str, path: str) -> str | None:
    r"""A target with `\1` for `$1`; groups that the path has not are nothing. None: it has variables of nginx."""
    count = groups(path)

    def group(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"\\{number}" if 0 < number <= count else ""

    replaced = re.sub(r"\$(?:\{)?([0-9])\}?", group, target.replace("\\", ""))
    return None if "$" in replaced else replaced


def has_groups(target: str) -> bool:
    """Whether a target has something of the path in it."""
    return re.search(r"\$\{?[0-9]", target) is not None
