"""What cannot be honoured."""

from __future__ import annotations

from .conditions import Reason


class Unsupported(Exception):  # noqa: N818 (a verdict on an object, not an error of the program)
    """A part of a rule that cannot be honoured.

    Attributes:
        field: path relative to the rule or backendRef.
        reason: reason of the route's condition.
        message: what is wrong.
        remedy: what to do.
    """

    def __init__(self, field: str, message: str, remedy: str, reason: Reason = Reason.UNSUPPORTED_VALUE) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason
        self.message = message
        self.remedy = remedy


class Absent(Unsupported):
    """The same where something that is referred to is not there: it may be elsewhere than in the files of `check`."""
