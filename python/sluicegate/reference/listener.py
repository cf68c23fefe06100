"""Hostnames and the listener that takes a request (ARCHITECTURE.md, "3. Listener").

Listener isolation: the most specific listener takes the request, and no other is tried after it
(GatewayHTTPListenerIsolation).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sluicegate import ir

from .table import Family, Listener, Socket, Table


def hostnames_of(host: str) -> Iterator[str]:
    """The hostnames that hold for a host, the most specific first.

    The host itself, `*.` before ever shorter suffixes of it, and the empty one, which stands for any.
    """
    if host:
        yield host
        # A wildcard stands for one or more labels, so never for nothing: the search begins behind the first character.
        dot = host.find(".", 1)
        while dot != -1:
            yield "*" + host[dot:]
            dot = host.find(".", dot + 1)
    yield ""


def listener_of(socket: Socket, host: str) -> Listener | None:
    """The listener of the most specific hostname; an empty host (no SNI) fits only the one without hostname."""
    for hostname in hostnames_of(host):
        listener = socket.listeners.get(hostname)
        if listener is not None:
            return listener
    return None


def is_misdirected(socket: Socket, listener: Listener, sni: str | None) -> bool:
    """Whether the TLS handshake belongs to another listener than the authority: 421 (GEP-3567)."""
    if socket.family is not Family.TLS:
        return False
    return listener_of(socket, (sni or "").lower()) is not listener


def answers_requests(listener: Listener) -> bool:
    """Whether what comes to it are requests; to others connections come."""
    return listener.resource.protocol in {ir.ListenerProtocol.HTTP, ir.ListenerProtocol.HTTPS}


def socket_of(table: Table, bind_port: int, address: str, *, is_udp: bool) -> Socket | None:
    """The socket that something came in by.

    Raises:
        ValueError: `address` is not an IP address.
    """
    if not address:
        return table.first_sockets.get((is_udp, bind_port))
    return table.sockets.get((is_udp, str(ipaddress.ip_address(address)), bind_port))
