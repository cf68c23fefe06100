"""External authorisation: a service that is asked about each request, and may say who it is from (GEP-1494)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import ClassVar

from ..base import Base, Unsigned64
from ..http import HeaderValue
from .base import Need, StanzaBase


class ExternalProtocol(enum.Enum):
    """How a service is asked; `GRPC`: Envoy's `ext_authz`."""

    HTTP = "http"
    GRPC = "grpc"


class ExternalService(Base, frozen=True, kw_only=True):
    """`HTTPExternalAuthFilter`: whom to ask, what of a request, and what of the answer counts.

    Attributes:
        backend: id; absent only where the policy is invalid.
        path: what the paths that are asked begin with (`http.path`); with `exact_path` a query may stand behind it.
        method: that it is asked by; empty: the request's.
        host: that it is asked for; empty: the request's.
        exact_path: that path alone is asked for, not what the request asks for behind it.
        allowed_headers: fields of the request that the service is given, lower case. Of HTTP some go in any case; of
            gRPC none named is all.
        allowed_response_headers: fields of its answer that go to the backend, lower case; none named is all but those
            of a connection and its message.
        set_headers: fields that the service is given in any case, in place of those of the request.
        client_headers: fields of an answer that lets a request on which its client gets, lower case.
        cookies_with_success: cookies go with answers of 2xx and redirects alone, not with errors.
        any_success: every 2xx lets a request on, else 200 alone.
        forward_body_bytes: octets of a body that the service is given; a longer one is refused. 0: nothing of it.
        allow_unavailable: a service that gives no answer is taken to be content (`onUnavailable: Allow`).
    """

    backend: str | None = None
    protocol: ExternalProtocol
    path: str = ""
    method: str = ""
    host: str = ""
    exact_path: bool = False
    allowed_headers: tuple[str, ...] = ()
    allowed_response_headers: tuple[str, ...] = ()
    set_headers: tuple[HeaderValue, ...] = ()
    client_headers: tuple[str, ...] = ()
    cookies_with_success: bool = False
    any_success: bool = False
    forward_body_bytes: Unsigned64 = 0
    timeout_ms: Unsigned64
    allow_unavailable: bool = False

    def needs(self) -> Iterable[Need]:
        """The backend."""
        return (("backends", self.backend),) if self.backend is not None else ()

    def credential_fields(self) -> Iterable[str]:
        """What proves something. Who a client says that it is it is not told in a field that is its own to say."""
        return ("authorization", "cookie")


class ExternalAuth(StanzaBase, frozen=True, kw_only=True, tag="external_auth"):
    """An `ExternalAuth` filter of a rule or a listener; both hold where both are there. `overrides`: of a listener."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "ExternalAuth"
    stanza: ClassVar[str] = "externalAuth"
    tightens: ClassVar[bool] = True

    service: ExternalService

    def needs(self) -> Iterable[Need]:
        """Who is asked."""
        return self.service.needs()

    def owned_fields(self) -> Iterable[str]:
        """What the service may say of who asks."""
        return self.service.allowed_response_headers

    def credential_fields(self) -> Iterable[str]:
        """Those that the service judges."""
        return self.service.credential_fields()
