"""HTTP/2 of the library that tests speak it with, where it takes too long."""

from __future__ import annotations

from collections.abc import Iterable

import h2.config
import h2.connection
import hpack

#: Octets of a value up to which it is coded; the library's time grows with their square (20 s for 300,000).
MAX_CODED = 8_192


class Encoder(hpack.Encoder):
    """Codes no large values (RFC 7541 section 5.2 leaves it open)."""

    def encode(self, headers: Iterable[hpack.HeaderTuple], huffman: bool = True) -> bytes:
        fields = list(headers)
        return super().encode(fields, huffman=huffman and all(len(field[1]) <= MAX_CODED for field in fields))


def connection(configuration: h2.config.H2Configuration) -> h2.connection.H2Connection:
    """One side of a connection."""
    made = h2.connection.H2Connection(configuration)
    made.encoder = Encoder()
    return made
