"""HTTP/2 connections that end because of their clients leave a line: who, and why; and they are counted."""

from __future__ import annotations

from collections.abc import Iterator

import hpack
import pytest
from system_flows import Flows

PORT = 8080
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK, END_HEADERS, WHOLE = 1, 4, 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a.test"), (b":path", b"/")]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def head(*changed: tuple[bytes, bytes], stream: int = 1) -> bytes:
    fields = {**dict(FIELDS), **dict(changed)}
    return frame(HEADERS, WHOLE, stream, hpack.Encoder().encode(list(fields.items())))


BEGUN = PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0)
PROTOCOL, FLOOD = "http2_protocol", "http2_flood"
#: What a client sends, and what it is told to have done.
FAULTS = {
    "path": (head((b":path", b"/\xff")), PROTOCOL),
    "authority": (head((b":authority", b"a\xff")), PROTOCOL),
    "upper case": (head((b"X-A", b"1")), PROTOCOL),
    "hpack": (frame(HEADERS, WHOLE, 1, b"\xff" * 6), PROTOCOL),
    "idle stream": (frame(DATA, 1, 1, b"x"), PROTOCOL),
    "frame size": (b"\xff\xff\xff\0\0\0\0\0\x01", PROTOCOL),
    "pings": (frame(PING, 0, 0, bytes(8)) * 3000, FLOOD),
    "resets": (b"".join(head(stream=at) + frame(RESET, 0, at, bytes(4)) for at in range(1, 2001, 2)), FLOOD),
}


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    found = Flows(tmp_path_factory.mktemp("flows"))
    found.apply(found.listener("http", PORT, "HTTP"))
    yield found
    found.close()


def faults(flows: Flows) -> dict[str, int]:
    reasons = {PROTOCOL: "protocol", FLOOD: "flood"}
    return {name: flows.metric("http2_faults_total", reason=label) for name, label in reasons.items()}


def send(flows: Flows, data: bytes) -> None:
    """Send it, and read until the gateway ends the connection."""
    with flows.connect(PORT) as connection:
        try:
            connection.sendall(data)
            while connection.recv(65_536):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize("fault", FAULTS)
def test_a_client_that_breaks_the_rules(flows: Flows, fault: str) -> None:
    """One line for the connection, however much it sent; requests that had begun have their own."""
    before = faults(flows)
    data, error = FAULTS[fault]
    send(flows, BEGUN + data)
    while (line := flows.ended()[0])["error"] not in (PROTOCOL, FLOOD):
        assert line["protocol"] == "HTTP/2"
    assert (line["error"], line["protocol"], line["client"]) == (error, "HTTP/2", "127.0.0.1")
    assert line["error_detail"]
    assert faults(flows) == {**before, error: before[error] + 1}


def test_who_leaves_has_broken_no_rule(flows: Flows) -> None:
    before = faults(flows)
    for farewell in (b"", frame(GOAWAY, 0, 0, bytes(8)), frame(HEADERS, END_HEADERS, 1)[:5]):
        with flows.connect(PORT) as connection:
            connection.sendall(BEGUN + farewell)
            assert connection.recv(9)
    # Its line comes behind theirs, had they any.
    send(flows, BEGUN + FAULTS["hpack"][0])
    assert flows.ended()[0]["error"] == PROTOCOL
    assert faults(flows) == {**before, PROTOCOL: before[PROTOCOL] + 1}
