"""Where clients are sent, and what they are answered in place of a backend."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoot(Feature):
    """`/` is sent elsewhere by 302.

    Attributes:
        path: to this one.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Feature):
    """Every request is sent to one URL.

    Attributes:
        url: as it is written; a path alone stays on the host.
        status: of the answer.
    """

    url: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRedirect(Feature):
    """Requests of plain HTTP are sent to HTTPS.

    Attributes:
        status: of the answer.
        forced: also where the host has no certificate here (TLS ends in front).
        trusts: `X-Forwarded-Proto: https` says that TLS ended in front.
        exempt: beginnings of paths that are not sent there.
    """

    status: int
    forced: bool = False
    trusts: bool = False
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WwwRedirect(Feature):
    """The host with `www.`, or without it, is sent to the other one.

    Attributes:
        status: of the answer.
    """

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictTransport(Feature):
    """Answers over TLS say that the host wants TLS (RFC 6797).

    Attributes:
        value: of the field.
    """

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Feature):
    """Every request is answered here.

    Attributes:
        status: of the answer.
        body: of it; empty: none.
        content_type: of the body.
    """

    status: int
    body: str = ""
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeRedirects(Feature):
    """Redirects that a controller makes by itself, to a path with its `/`, name neither scheme nor host."""
