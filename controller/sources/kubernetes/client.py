"""Requests to the API server: with what `credentials` has now, over the connections of `access`, JSON by msgspec.

Rules:
- Every request has a time limit; a watch has one of its own (`watch.py`).
- A watch is silent for minutes where nothing changes. The kernel asks whether its connection still is one (`PROBES`):
  a half-open one costs half a minute, as with client-go's pings, and not the watch's whole limit.
- An error is an `ApiError` with the status and the API server's message; a connection that breaks is one with status 0,
  and so is an answer that is none of the API server's (`decoded`), such as a login page of something before it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from ... import caught
from .access import Configuration, CredentialsError, NotInPodError
from .credentials import Credentials, from_kubeconfig, from_pod

#: Seconds for a request that is no watch.
REQUEST_LIMIT = 30.0
#: Connections to the API server: one for each watch and some for writes.
MAX_CONNECTIONS = 64
#: TCP keepalive of a watch: seconds of silence before the first probe, between probes, and probes without an answer
#: after which the connection is dead. Systems that know fewer of them take those that they know.
PROBES = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
#: Bytes of an error's body that are read, and of one that cannot be read that are shown.
MAX_ERROR_BODY, SHOWN = 16 * 1024, 80

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"

Document = dict[str, Any]
T = TypeVar("T")


class ApiError(Exception):
    """The API server refused a request, or could not be asked.

    Attributes:
        status: HTTP status; 0 where there was no answer, or one that nobody can read.
        reason: the machine-readable reason, such as `Conflict`.
    """

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0


class _Request(NamedTuple):
    """What is asked of the API server.

    Attributes:
        method: of HTTP.
        path: of the resource.
        timeout: for what may have no end otherwise.
        query: its parameters.
        body: what is sent, if anything.
        kind: media type of the body.
    """

    method: str
    path: str
    timeout: aiohttp.ClientTimeout
    query: Mapping[str, str] | None = None
    body: Document | None = None
    kind: str = JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Client:
    """One API server."""

    def __init__(self, configuration: Configuration | Credentials) -> None:
        """Use a configuration of the official client as it is, or credentials that are kept current."""
        given = configuration if isinstance(configuration, Credentials) else Credentials(configuration)
        given.limit_connections(MAX_CONNECTIONS)
        self._credentials = given

    @classmethod
    async def load(cls, kubeconfig: str | None = None, context: str | None = None) -> Client:
        """Find the API server: the given kubeconfig, the pod's service account, else the usual kubeconfig.

        Raises:
            ApiError: there is none.
        """
        try:
            if kubeconfig is None and context is None:
                try:
                    return cls(await from_pod())
                except NotInPodError:
                    pass
            return cls(await from_kubeconfig(kubeconfig, context))
        except CredentialsError as error:
            hint = "; give --kubeconfig, or run in a pod" if kubeconfig is None else ""
            raise ApiError(0, f"no API server is configured: {error}{hint}") from None
        except Exception as error:  # the official client takes the form of a kubeconfig for granted
            name = kubeconfig or "the usual one"
            text = f"the kubeconfig {name} cannot be used: {caught.describe(error)}"
            raise ApiError(0, f"{text}; correct it, or give another one by --kubeconfig") from None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._credentials.close()

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._credentials.api.configuration.host)

    async def get(self, path: str, query: Mapping[str, str] | None = None, *, limit: float = REQUEST_LIMIT) -> bytes:
        """Get a resource; returns its JSON.

        Raises:
            ApiError: refused, or no answer.
        """
        return await self.request("GET", path, query=query, limit=limit)

    async def patch(
        self,
        path: str,
        body: Document,
        *,
        kind: str = MERGE,
        query: Mapping[str, str] | None = None,
        limit: float = REQUEST_LIMIT,
    ) -> bytes:
        """Patch a resource; returns it as it is now.

        Raises:
            ApiError: refused, or no answer.
        """
        return await self.request("PATCH", path, body=body, query=query, kind=kind, limit=limit)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        query: Mapping[str, str] | None = None,
        kind: str = JSON,
        limit: float = REQUEST_LIMIT,
    ) -> bytes:
        """Ask the API server; returns the body of its answer, which has to come within `limit` seconds.

        Raises:
            ApiError: refused, or no answer.
        """
        asked = _Request(method, path, aiohttp.ClientTimeout(total=limit), query, body, kind)
        async with self._ask(asked) as response:
            try:
                return await response.read()
            except (TimeoutError, aiohttp.ClientError) as error:
                raise ApiError(0, f"{asked}: {error or 'no answer in time'}") from None

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, read_limit: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Get a resource line by line.

        Args:
            path: of the resource.
            query: its parameters.
            read_limit: seconds without a byte after which the connection is taken for dead.

        Raises:
            ApiError: refused, or no answer.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_LIMIT, sock_read=read_limit)
        async with self._ask(_Request("GET", path, timeout, query)) as response:
            _probe(response)
            yield response.content

    @asynccontextmanager
    async def _ask(self, asked: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        response, number = await self._send(asked)
        try:
            if response.status == 401 and await self._credentials.renewed(number):
                response.release()
                response, _ = await self._send(asked)
            if response.status >= 400:
                try:
                    content = await response.content.read(MAX_ERROR_BODY)
                except (aiohttp.ClientError, OSError):
                    content = b""  # the status says enough
                raise _refusal(asked, response.status, content, self._credentials.fault)
            yield response
        finally:
            response.release()

    async def _send(self, asked: _Request) -> tuple[aiohttp.ClientResponse, int]:
        """The beginning of the answer, and the number of the credentials that it was asked with."""
        try:
            api, number = await self._credentials.current()
        except CredentialsError as error:
            raise ApiError(0, f"{asked}: {error}") from None
        headers = {"Accept": JSON, "Content-Type": asked.kind, "User-Agent": "sluicegate"}
        path = asked.path + (f"?{urlencode(asked.query)}" if asked.query else "")
        body = msgspec.json.encode(asked.body) if asked.body is not None else None
        try:
            answer = await api.ask(asked.method, path, headers, body, asked.timeout)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # such as a field of no HTTP
            raise ApiError(0, f"{asked}: {error or 'no answer in time'}") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled us: aiohttp does where connections are closed that are still being made.
            raise ApiError(0, f"{asked}: the credentials were renewed meanwhile") from None
        return answer, number


def decoded(answer: bytes, shape: type[T], asked: str) -> T:
    """Read an answer.

    Args:
        answer: the body.
        shape: what it has to be.
        asked: what was asked for, for the message.

    Raises:
        ApiError: it is something else.
    """
    try:
        return msgspec.json.decode(answer, type=shape)
    except caught.UNREADABLE as error:
        begin = answer[:SHOWN].decode(errors="replace")
        text = f"{asked}: the answer is not the API server's ({error}), it begins with {begin!r}"
        raise ApiError(0, f"{text}; look for a proxy or a login page before it") from None


def _probe(response: aiohttp.ClientResponse) -> None:
    """Have the kernel probe a response's connection while it is silent."""
    transport = response.connection.transport if response.connection is not None else None
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return  # the response is complete already
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in PROBES.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _refusal(asked: _Request, status: int, body: bytes, fault: str) -> ApiError:
    try:
        found = msgspec.json.decode(body, type=_Status)
    except caught.UNREADABLE:
        # Such as `404 page not found`, where nobody serves a group.
        found = _Status(message=body[:200].decode(errors="replace").strip().removeprefix(f"{status} "))
    why = f" ({fault})" if status == 401 and fault else ""
    return ApiError(status, f"{asked}: {status} {found.message}{why}", found.reason)
