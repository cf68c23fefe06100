"""Fields of requests and of answers, and what stands in for errors."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Feature, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHost(Feature):
    """The backend gets another host.

    Attributes:
        host: this one.
    """

    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaders(Feature):
    """Fields that the backend gets.

    Attributes:
        fields: set in place of those of their names.
        computed: the same, with a CEL expression over the request in place of a value.
        removed: names of fields of the request that it does not get.
    """

    fields: tuple[Field, ...] = ()
    computed: tuple[Field, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeaders(Feature):
    """Fields that clients get.

    Attributes:
        fields: set in place of those of their names.
        added: beside those of their names.
        computed: set, with a CEL expression over the request in place of a value.
        hidden: names of fields of the backend that they do not get.
    """

    fields: tuple[Field, ...] = ()
    added: tuple[Field, ...] = ()
    computed: tuple[Field, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors(Feature):
    """Who may read answers from other origins.

    Attributes:
        origins: such as `https://*.example.com`, or `*`.
        methods: that are allowed.
        headers: that requests may have.
        exposed: that scripts see.
        credentials: whether cookies are sent.
        max_age: seconds that an answer to a preflight holds.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    credentials: bool
    max_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPages(Feature):
    """A Service says what stands in for errors.

    Attributes:
        statuses: of backends, which are errors; empty: none of theirs.
        service: that is asked; empty: the Service that the controller has for all.
        namespace: of the Service.
        port: number or name of its port; empty: the first.
    """

    statuses: tuple[int, ...] = ()
    service: str = ""
    namespace: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRewrite(Feature):
    """What a backend says of where it is, as clients see it.

    Attributes:
        locations: beginnings of URLs, and what stands in their place.
        domains: of cookies, the same.
        paths: of cookies, the same.
    """

    locations: tuple[tuple[str, str], ...] = ()
    domains: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()
