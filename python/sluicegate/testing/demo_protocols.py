"""What demo backends speak besides HTTP: WebSockets (RFC 6455), whose frames come back, and datagrams.

For trying things alone: a frame is whole in memory, and one above `MAX_FRAME` ends its connection.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from io import BufferedIOBase

#: RFC 6455 section 1.3.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_OPCODE, _CLOSE, _PING, _PONG = 0x0F, 0x8, 0x9, 0xA
MAX_FRAME = 1024 * 1024
_MAX_DATAGRAM = 65_535


def accept_of(key: str) -> str:
    """`Sec-WebSocket-Accept` for what a client sent as `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()


def echo_frames(source: BufferedIOBase, target: BufferedIOBase) -> None:
    """Send each frame of a client back, until one says close or the connection ends."""
    while len(head := source.read(2)) == 2:
        length = head[1] & 0x7F
        if length >= 126:
            length = int.from_bytes(source.read(2 if length == 126 else 8))
        # A client's frames are masked (section 5.1), those of a server are not.
        if not head[1] & 0x80 or length > MAX_FRAME:
            return
        mask, payload = source.read(4), source.read(length)
        if len(mask) < 4 or len(payload) < length:
            return
        opcode = head[0] & _OPCODE
        first = head[0] & ~_OPCODE | (_PONG if opcode == _PING else opcode)
        target.write(bytes([first]) + _length(length) + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))
        target.flush()
        if opcode == _CLOSE:
            return


def _length(length: int) -> bytes:
    if length < 126:
        return bytes([length])
    return bytes([126]) + length.to_bytes(2) if length < 1 << 16 else bytes([127]) + length.to_bytes(8)


def answer_datagrams(service: str, address: str, port: int) -> None:
    """Answer datagrams on a thread, each by who answers and what came.

    Raises:
        OSError: the port is taken.
    """
    own = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        own.bind((address, port))
    except OSError:
        own.close()
        raise

    def answer() -> None:
        while True:
            data, client = own.recvfrom(_MAX_DATAGRAM)
            own.sendto(f"Hello from {service} at {address}:{port}: ".encode() + data, client)

    threading.Thread(target=answer, daemon=True).start()
