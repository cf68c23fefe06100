"""The shapes of traffic that are measured, what counts in each, and the bars."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The part of nginx's saturation at which response times are compared.
PACE = 0.7
#: Connections that are opened for the memory of idle ones: as many are open before, so that what comes once does not
#: count.
IDLE_CONNECTIONS = 2_000


class Driver(StrEnum):
    """What makes the load."""

    H2LOAD = "h2load"
    DATAGRAMS = "datagrams"
    FLOOD = "flood"
    IDLE = "idle"


class Figure(StrEnum):
    """What counts, less being better."""

    CPU = "CPU us"
    P99 = "p99 ms"
    MEMORY = "RSS bytes"


class Content(StrEnum):
    """What is asked for."""

    SMALL = "small"
    DOWNLOAD = "download"
    UPLOAD = "upload"
    GRPC = "grpc"


#: All peers.
ALL = ("haproxy", "nginx", "envoy")


@dataclass(frozen=True)
class Bar:
    """What Sluicegate may need at most.

    Attributes:
        limit: times the figure of the best of `peers`; without peers the figure itself.
        peers: names.
    """

    limit: float
    peers: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.peers:
            return f"<= {self.limit:,.0f}"
        return f"<= {self.limit:g} x {'best' if self.peers == ALL else '/'.join(self.peers)}"


@dataclass(frozen=True)
class Shape:
    """One kind of traffic.

    Attributes:
        name: for the command line.
        title: for people.
        entry: which port of a proxy it goes to; proxies without that entry are left out.
        unit: what the CPU time is divided by.
        bars: none: it is only shown.
        connections: at once.
        streams: on each of them.
        http2: prior knowledge, else HTTP/1.1.
        close: whether each request says `Connection: close`, and the next one is sent over a new connection.
        burst: if not 0, so many connections are made at once for one request each, again and again. This is for full
            handshakes: where h2load opens a connection anew it resumes the session.
        paced: at `PACE` of nginx's saturation in place of as fast as it goes; `connections` follow from the pace.
        units: in one request (or one datagram that comes back).
        reference: whether the reference proxy is measured too.
        spared: names of peers that it is not asked of, though they have the entry.
    """

    name: str
    title: str
    entry: str
    unit: str
    bars: tuple[Bar, ...] = ()
    content: Content = Content.SMALL
    connections: int = 32
    streams: int = 1
    http2: bool = False
    close: bool = False
    burst: int = 0
    paced: bool = False
    driver: Driver = Driver.H2LOAD
    figure: Figure = Figure.CPU
    units: int = 1
    reference: bool = False
    spared: tuple[str, ...] = ()


BOTH = ("nginx", "haproxy")
#: Fewer for what is large: so that neither sockets nor the load's memory decide.
FEW = 16

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("http1-32", "HTTP/1.1 small, 32", "http", "request", (Bar(0.92, BOTH),), reference=True),
        Shape(
            "http1-256", "HTTP/1.1 small, 256", "http", "request", (Bar(0.95, BOTH),), connections=256, reference=True
        ),
        Shape(
            "http2",
            "HTTP/2 8x32, HTTP/1.1 out",
            "http2",
            "request",
            (Bar(1.0, ("haproxy",)),),
            connections=8,
            streams=32,
            http2=True,
        ),
        Shape(
            "grpc",
            "gRPC unary 8x32, HTTP/2 out",
            "http2",
            "request",
            (Bar(0.45, ("envoy",)), Bar(0.7, ("nginx",))),
            content=Content.GRPC,
            connections=8,
            streams=32,
            http2=True,
        ),
        Shape("connect", "a connection each", "http", "connection", (Bar(1.0, ("nginx",)),), close=True),
        Shape(
            "download", "download 1 MiB", "http", "MiB", (Bar(0.9, ("haproxy",)),), Content.DOWNLOAD, connections=FEW
        ),
        Shape("upload", "upload 1 MiB", "http", "MiB", (Bar(0.95, ("haproxy",)),), Content.UPLOAD, connections=FEW),
        Shape("tls", "TLS small, 32", "tls", "request", (Bar(0.75, ALL),)),
        Shape("tls-handshake", "TLS full handshake each", "tls", "handshake", (Bar(0.65, ALL),), burst=500),
        Shape("tls-download", "TLS download 1 MiB", "tls", "MiB", (Bar(0.6, ALL),), Content.DOWNLOAD, connections=FEW),
        Shape("tcp", "TCP download 1 MiB", "tcp", "MiB", (Bar(0.75, ("envoy",)),), Content.DOWNLOAD, connections=FEW),
        Shape("udp", "UDP small", "udp", "datagram", driver=Driver.DATAGRAMS, units=2),
        # Twice as many on a core as by a call each, which is how nginx does it. Envoy may lose whole rounds of bursts:
        # then there is nothing to divide by.
        Shape(
            "udp-flood",
            "UDP small, bursts one way",
            "udp",
            "datagram",
            (Bar(0.5, ("nginx",)),),
            driver=Driver.FLOOD,
            spared=("envoy",),
        ),
        Shape(
            "idle",
            "idle after a request",
            "http",
            "connection",
            (Bar(4096),),
            driver=Driver.IDLE,
            figure=Figure.MEMORY,
        ),
        Shape(
            "p99",
            f"HTTP/1.1 at {PACE:.0%} of nginx",
            "http",
            "request",
            (Bar(1.0, ALL),),
            paced=True,
            figure=Figure.P99,
        ),
    )
}
