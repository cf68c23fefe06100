"""Parts of an HTTPFilter that wait, ask somebody, or know what nobody else may: policies of their rule or listener.

A rule's stand in place of its listener's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import ClassVar, TypeAlias

from ..base import Base, Port, Positive64, Unsigned32, Unsigned64
from ..http import Percentage
from .base import Need, StanzaBase

_RULES = frozenset({"http_rule"})
_BOTH = _RULES | {"listener"}


class FaultDelay(Base, frozen=True, kw_only=True):
    """How long some requests are held up."""

    milliseconds: Unsigned64
    percentage: Percentage


class FaultAbort(Base, frozen=True, kw_only=True):
    """With which status some requests are refused."""

    status: Port
    percentage: Percentage


class FilterFault(StanzaBase, frozen=True, kw_only=True, tag="filter_fault"):
    """`fault`: requests that are held up or refused on purpose.

    Attributes:
        when: an expression: of which requests; where it comes to nothing it does not hold. None: of all.
    """

    acts_on: ClassVar[frozenset[str]] = _BOTH
    kind: ClassVar[str] = "HTTPFilter"
    stanza: ClassVar[str] = "fault"

    when: str | None = None
    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class FilterCredential(StanzaBase, frozen=True, kw_only=True, tag="filter_credential"):
    """`credential`: a field with which the gateway proves itself to the backend.

    Attributes:
        header: name of the field.
        secret: id of the secret, whose data is the whole value; empty only where the filter is invalid.
        backend: place of the one backend of the rule that gets it, in place of what all get; None: all of them.
    """

    acts_on: ClassVar[frozenset[str]] = _RULES
    kind: ClassVar[str] = "HTTPFilter"
    stanza: ClassVar[str] = "credential"

    header: str
    secret: str = ""
    backend: Unsigned32 | None = None

    def needs(self) -> Iterable[Need]:
        """The secret."""
        return (("policy_secrets", self.secret),) if self.secret else ()


class FilterBuffer(StanzaBase, frozen=True, kw_only=True, tag="filter_buffer"):
    """`buffer`: a body of up to `max_bytes` is collected before the backend is asked; a larger one is refused.

    Rules of GRPCRoutes are left alone: both sides may speak at once.
    """

    acts_on: ClassVar[frozenset[str]] = _BOTH
    kind: ClassVar[str] = "HTTPFilter"
    stanza: ClassVar[str] = "buffer"

    max_bytes: Positive64


class StatusRange(Base, frozen=True, kw_only=True):
    """From one status to another, both among them."""

    first: Port
    last: Port


class ErrorsOf(enum.Enum):
    """Whose errors a page stands in for."""

    ANY = "any"
    GATEWAY = "gateway"
    BACKEND = "backend"


class PageBody(Base, frozen=True, kw_only=True, tag_field="type", tag="body"):
    """A page that is written out."""

    content_type: str
    body: str


class PageService(Base, frozen=True, kw_only=True, tag_field="type", tag="service"):
    """Somebody who is asked for a page; `backend` is an id, absent only where the filter is invalid."""

    backend: str | None = None
    path: str
    timeout_ms: Unsigned64


PageContent: TypeAlias = PageBody | PageService


class ErrorPage(Base, frozen=True, kw_only=True):
    """What stands in for errors of some statuses; `status`: in place of the error's own."""

    statuses: tuple[StatusRange, ...]
    of: ErrorsOf = ErrorsOf.ANY
    status: Port | None = None
    content: PageContent


class FilterErrorPages(StanzaBase, frozen=True, kw_only=True, tag="filter_error_pages"):
    """`errorPages`: what stands in for errors; the first page that has the status counts.

    Those of a listener hold for what has no rule, too.
    """

    acts_on: ClassVar[frozenset[str]] = _BOTH
    kind: ClassVar[str] = "HTTPFilter"
    stanza: ClassVar[str] = "errorPages"

    pages: tuple[ErrorPage, ...] = ()

    def needs(self) -> Iterable[Need]:
        """Who is asked for pages."""
        contents = (page.content for page in self.pages)
        return [
            ("backends", item.backend)
            for item in contents
            if isinstance(item, PageService) and item.backend is not None
        ]
