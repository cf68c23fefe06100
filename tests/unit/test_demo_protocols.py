"""What demo backends speak besides HTTP, as the RFC has it, and what they do with what it does not have."""

from __future__ import annotations

import io
import socket

import pytest

from sluicegate.testing.demo_protocols import MAX_FRAME, accept_of, answer_datagrams, echo_frames

TEXT, BINARY, CLOSE, PING, PONG, FINAL = 0x1, 0x2, 0x8, 0x9, 0xA, 0x80
MASK = b"\x01\x02\x03\x04"


def length_of(size: int) -> bytes:
    if size < 126:
        return bytes([size])
    return bytes([126]) + size.to_bytes(2) if size < 1 << 16 else bytes([127]) + size.to_bytes(8)


def sent(first: int, payload: bytes) -> bytes:
    """A frame of a client, masked."""
    head = length_of(len(payload))
    masked = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return bytes([first, head[0] | 0x80]) + head[1:] + MASK + masked


def echoed(data: bytes) -> bytes:
    target = io.BytesIO()
    echo_frames(io.BytesIO(data), target)
    return target.getvalue()


def test_the_key_of_the_rfc() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_come_back_unmasked(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert echoed(sent(FINAL | BINARY, payload)) == bytes([FINAL | BINARY]) + length_of(size) + payload


def test_each_frame_has_its_answer() -> None:
    data = sent(TEXT, b"a") + sent(FINAL, b"b") + sent(FINAL | PING, b"p") + sent(FINAL | CLOSE, b"\x03\xe8")
    answers = [(TEXT, b"a"), (FINAL, b"b"), (FINAL | PONG, b"p"), (FINAL | CLOSE, b"\x03\xe8")]
    wanted = b"".join(bytes([first, len(payload)]) + payload for first, payload in answers)
    assert echoed(data + sent(FINAL | TEXT, b"behind the end")) == wanted


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        bytes([FINAL | TEXT, 1]) + b"a",  # not masked
        sent(FINAL | TEXT, b"abc")[:-1],
        bytes([FINAL | TEXT, 0x80 | 127]) + (MAX_FRAME + 1).to_bytes(8) + MASK,
    ],
)
def test_what_is_no_frame_ends_it(data: bytes) -> None:
    assert echoed(data) == b""


def test_a_datagram_is_answered_by_who_got_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            answer_datagrams("dns", "127.0.0.1", port)
    answer_datagrams("dns", "127.0.0.1", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"ping", ("127.0.0.1", port))
        assert client.recv(100) == f"Hello from dns at 127.0.0.1:{port}: ping".encode()
