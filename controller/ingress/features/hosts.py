"""What is about a whole host."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases(Feature):
    """The host has other names.

    Attributes:
        names: hosts.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough(Feature):
    """The backend ends TLS itself; paths mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(Feature):
    """This Ingress takes a part of the requests of another one with the same hosts and paths.

    Attributes:
        header: name of a field that decides; empty: none.
        value: of the field, for the canary; empty: `always`, and `never` for the others.
        pattern: the same as a regular expression, searched for.
        cookie: name of a cookie that decides by `always` and `never`; empty: none.
        weight: of the rest, so many
        total: of so many.
        sticky: a client with a session of the other Ingress stays on its side, whatever the weights.
    """

    header: str = ""
    value: str = ""
    pattern: str = ""
    cookie: str = ""
    weight: int = 0
    total: int = 100
    sticky: bool = True
