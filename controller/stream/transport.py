"""The gRPC server under the stream: its certificate, and what strangers cannot use up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # strangers must not fill the log
import grpc
import grpc.aio

from ..store.store import Event
from .identity import ServerCertificate
from .messages import Request, Response
from .protocol import MAX_METADATA, MAX_REQUEST, MAX_RESPONSE, METHOD, SERVICE

#: Connections, and calls on all of them. Stops descriptor and memory exhaustion.
MAX_CONNECTIONS = 2_048
#: Calls on one connection: a data plane needs one.
MAX_CALLS = 4

Code = grpc.StatusCode
#: A call: what the other side sends, and the call itself.
Context = grpc.aio.ServicerContext[Any, Any]
Exchange = Callable[[AsyncIterator[Request], Context], Awaitable[None]]


class ServerTimes(msgspec.Struct, frozen=True):
    """Seconds.

    Attributes:
        handshake: for TLS.
        idle: of a connection without a call.
        ping: of silence before a ping.
        ping_limit: for the answer to a ping.
        subscribe: until a data plane said what it has.
        answer: until it answered a transaction.
        end: until it has read why a session ends.
        session: after which it has to connect again.
        review: between two looks at the token of a session.
        keep: how long the report of a pod counts after its connection ended.
        settle: after which a new leader no longer waits for data planes to connect.
        unheard: after which one that cannot listen no longer waits until it can.
    """

    handshake: float = 5.0
    idle: float = 10.0
    ping: float = 20.0
    ping_limit: float = 10.0
    subscribe: float = 10.0
    answer: float = 60.0
    end: float = 5.0
    session: float = 3_600.0
    review: float = 180.0
    keep: float = 30.0
    settle: float = 10.0
    unheard: float = 60.0


class Certificates(Protocol):
    """Where the certificate of the stream comes from (`Identity`)."""

    @property
    def ready(self) -> asyncio.Event:
        """Set when there is one."""

    def certificate(self) -> ServerCertificate | None:
        """The one of this moment; any thread may ask."""

    def handle(self, event: Event) -> None:
        """Take an event of any watched kind."""


async def listen(
    address: str, identity: Certificates, times: ServerTimes, exchange: Exchange
) -> tuple[grpc.aio.Server, int]:
    """Serve the stream; returns the server and its port.

    Args:
        address: `host:port`; port 0 lets the system choose.
        identity: has a certificate.
        times: limits.
        exchange: answers a call.

    Raises:
        RuntimeError: the address cannot be bound.
    """
    server = grpc.aio.server(options=_options(times), maximum_concurrent_rpcs=MAX_CONNECTIONS)
    handler = grpc.stream_stream_rpc_method_handler(
        exchange, request_deserializer=Request.from_bytes, response_serializer=Response.to_bytes
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_secure_port(address, _credentials(identity))
    await server.start()
    return server, port


def _credentials(identity: Certificates) -> grpc.ServerCredentials:
    """Credentials that look at each connection whether the certificate was renewed."""
    current: ServerCertificate | None = None

    def configuration() -> Any:  # noqa: ANN401 (None, "as before", is missing in the stubs)
        nonlocal current
        certificate = identity.certificate()
        if certificate is None or certificate is current:
            return None
        current = certificate
        return grpc.ssl_server_certificate_configuration([(certificate.key, certificate.chain)])

    return grpc.dynamic_ssl_server_credentials(configuration(), configuration)


def _options(times: ServerTimes) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", MAX_REQUEST),
        ("grpc.max_send_message_length", MAX_RESPONSE),
        ("grpc.max_metadata_size", MAX_METADATA),
        ("grpc.max_concurrent_streams", MAX_CALLS),
        ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", int(times.handshake * 1000)),
        ("grpc.max_connection_idle_ms", int(times.idle * 1000)),
        ("grpc.keepalive_time_ms", int(times.ping * 1000)),
        ("grpc.keepalive_timeout_ms", int(times.ping_limit * 1000)),
        ("grpc.http2.ping_timeout_ms", int(times.ping_limit * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Data planes ping us as often as we them.
        ("grpc.http2.min_ping_interval_without_data_ms", int(times.ping * 500)),
        ("grpc.so_reuseport", 0),
    ]


def address_of(context: Context) -> str:
    """The address that a call comes from, without its port (`ipv4:10.0.0.1`)."""
    return str(context.peer()).rpartition(":")[0]
