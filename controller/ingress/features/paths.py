"""Which paths there are, and what backends get in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexPaths(Feature):
    """Paths are regular expressions.

    Attributes:
        ignores_case: they match in any case.
    """

    ignores_case: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPaths(Feature):
    """Paths match themselves alone.

    Attributes:
        types: of paths, as they are written, that this holds for.
    """

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathEdit(Feature):
    r"""The backend gets another path; what a path matches stays as it is.

    Attributes:
        kind: `Prefix`: what the path begins with is replaced; `Add`: something comes before it; `Full`: all of it is
            replaced; `Pattern`: each place where an expression matches.
        replacement: what stands there then, with `\1` for what the first group of an expression matched.
        find: the prefix, or the expression (RE2); an empty prefix is the path of the location.
    """

    kind: Literal["Prefix", "Add", "Full", "Pattern"]
    replacement: str
    find: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite(Feature):
    """The path becomes another one.

    Attributes:
        target: a path or URL, with `$1` for what the first group of the path matched.
    """

    target: str
