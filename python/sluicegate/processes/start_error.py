"""A start that ends the process."""

from __future__ import annotations


class StartError(Exception):
    """A start that would serve nothing, or not what was asked for; the message says why, and what to do.

    Attributes:
        fields: what programs get beside the message.
    """

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields = fields
