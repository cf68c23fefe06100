"""The reference proxy: the pure-Python router behind asyncio, HTTP/1.1 only."""

from __future__ import annotations

import sys

from benches.proxy.peers.site import Peer, Site


def peer(site: Site) -> Peer:
    """The peer."""
    port = site.port("http")
    command = [sys.executable, "-m", "benches.proxy.reference", str(port), str(site.backends.http)]
    return Peer("reference", command, site.ports("http"))
