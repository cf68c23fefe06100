"""What everything that goes on for ever takes to say what does not work."""

from __future__ import annotations

from typing import Protocol


class Complain(Protocol):
    """Takes what does not work, for the log."""

    def __call__(self, code: str, message: str, **fields: object) -> None:
        """Tell it.

        Args:
            code: stays, for programs.
            message: for people.
            fields: for programs besides, such as `object="HTTPRoute/default/shop"`.
        """
