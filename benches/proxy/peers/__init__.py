"""The proxies, each with the same configuration.

1,023 routes (31 hosts, 33 path prefixes each) to one backend over HTTP/1.1, in clear text and over TLS; one host of
gRPC; a port of TCP; a port of UDP.

A peer writes its configuration, says how it is started, and which port speaks what.
"""

from __future__ import annotations

from collections.abc import Callable

from benches.proxy.peers import envoy, haproxy, nginx, reference, sluicegate
from benches.proxy.peers.site import Peer, Site

OWN = "sluicegate"
#: Measured where it can be, and no peer: what the same table costs in Python.
REFERENCE = "reference"
PEERS: dict[str, Callable[[Site], Peer]] = {
    OWN: sluicegate.peer,
    "nginx": nginx.peer,
    "haproxy": haproxy.peer,
    "envoy": envoy.peer,
    REFERENCE: reference.peer,
}
