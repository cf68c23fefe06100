"""What a document says, kept small: it is asked for when it is judged, and seldom after that.

As objects of Python a route takes 2.6 KiB, a third of all that is known of it, packed 0.5.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: Bytes of what is packed: a short text with aliases may say far more than it shows, and is kept as it was parsed.
MAX_PACKED = 64 * 1024

_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(dict[str, Any])


class Content:
    """What one document says. The very same one stands for a document that is elsewhere in its file now."""

    __slots__ = ("_kept",)

    def __init__(self, value: dict[str, Any]) -> None:
        """Keep an object as it was parsed."""
        self._kept: bytes | dict[str, Any] = value
        try:
            packed = _ENCODER.encode(value)
        except (OverflowError, RecursionError, TypeError, ValueError):
            return  # such as an integer of more than 64 bits
        if len(packed) <= MAX_PACKED:
            self._kept = packed

    def __eq__(self, other: object) -> bool:
        """Whether both say the same."""
        return isinstance(other, Content) and self._kept == other._kept

    __hash__ = None  # type: ignore[assignment]

    def read(self) -> dict[str, Any]:
        """The object; nobody may change it."""
        kept = self._kept
        return _DECODER.decode(kept) if isinstance(kept, bytes) else kept
