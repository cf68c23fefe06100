"""`sluicegate.load(paths).decide(request)`: the gateway's decisions as a library, by the native table itself."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sluicegate.controller.api import Code, Diagnostic, Severity
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME
from sluicegate.engine.limits import PathNormalization
from sluicegate.processes.settings import MAX_PORT_OFFSET

from .arguments import MAX_ENTROPY, one_of, path_names, question, text, whole_number
from .decision import Answer, Decision, Forwarded, Outcome, PolicyVerdict, Reason, WeightedBackend
from .offline import Offline, load_offline
from .request import Connection, Headers, Identity, Proof, Request, RequestError, from_client, parse_request
from .table import Table

#: What `import sluicegate` offers; docs/library.md describes it.
__all__ = [
    "Answer",
    "Code",
    "Connection",
    "Decision",
    "Diagnostic",
    "Forwarded",
    "Headers",
    "Identity",
    "Outcome",
    "PathNormalization",
    "PolicyVerdict",
    "Proof",
    "Reason",
    "Request",
    "RequestError",
    "Routes",
    "Severity",
    "WeightedBackend",
    "load",
    "parse_request",
]


class Routes:
    """Manifests, ready to be asked; `load` makes one."""

    def __init__(self, offline: Offline, path_normalization: PathNormalization, port_offset: int) -> None:
        self._offline = offline
        self._table = Table(offline.transaction(), path_normalization, port_offset)

    @property
    def problems(self) -> list[Diagnostic]:
        """Everything that is wrong with the manifests, with file and line."""
        return self._offline.diagnostics()

    def decide(
        self,
        request: str | Request | Connection,
        headers: Headers = (),
        *,
        server_name: str | None = None,
        entropy: int = 0,
        client: str | None = None,
        identity: str | None = None,
    ) -> Decision:
        """Say what the gateway does with a request or a connection.

        Args:
            request: such as `GET https://www.example.com/login`, `grpc://host/service/method`, `wss://host/path`,
                `tls://name:443`, `tcp://:5432` or `udp://:53`; a `Request` or a `Connection`.
            headers: fields, where `request` is a text.
            server_name: that the client sends in the TLS handshake (SNI), where `request` is a text; empty: none;
                None: the URL's host.
            entropy: stands for the random numbers that weights are drawn by, from 0 to 2^64 - 1; every value is a
                possible one.
            client: the address of who asks, for policies; None: nobody can say.
            identity: who asks, as if they had proved it, such as `jwt:{"sub": "anna"}` or `basic:anna`; None: the
                fields have to show it.

        Raises:
            RequestError: the request is none, `entropy` no such number, or `client` or `identity` nobody.
        """
        try:
            number = whole_number("entropy", entropy, 0, MAX_ENTROPY)
            if isinstance(request, (Request, Connection)):
                asked = question(request)
            else:
                asked = parse_request(text("request", request), headers, server_name=server_name)
            for name, value in (("client", client), ("identity", identity)):
                if value is not None:
                    text(name, value)
            asked = from_client(asked, client, identity)
        except ValueError as error:
            raise RequestError(str(error)) from None
        return self._table.decide(asked, number)


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    controller_name: str = DEFAULT_CONTROLLER_NAME,
    path_normalization: PathNormalization = "strict",
    *,
    port_offset: int = 0,
) -> Routes:
    """Load manifests.

    Args:
        paths: files and directories; `-` for standard input.
        controller_name: of the GatewayClasses whose Gateways are meant.
        path_normalization: the engine setting of that name.
        port_offset: the setting of that name: requests may name the ports that are bound.

    Raises:
        FileNotFoundError: a path is not there.
        ValueError: an argument cannot be used.
    """
    names = path_names(paths)
    text("controller_name", controller_name)
    one_of("path_normalization", path_normalization, PathNormalization)
    whole_number("port_offset", port_offset, 0, MAX_PORT_OFFSET)
    for name in names:
        if name != "-" and not os.path.exists(name):
            raise FileNotFoundError(f"{name}: no such file or directory")
    return Routes(load_offline(names, controller_name, port_offset=port_offset), path_normalization, port_offset)
