"""Why a command that looks into a cluster cannot go on."""

from __future__ import annotations

import sys

from sluicegate.words import one_line

from .exit_status import ExitStatus

#: What is said where the packages are missing that ask an API server.
NO_CLIENT = "{error}; install the extra: pip install 'sluicegate[kubernetes]'"


class ClusterError(Exception):
    """The cluster cannot be reached, or does not answer.

    Attributes:
        status: how the command ends.
    """

    def __init__(self, message: str, status: ExitStatus) -> None:
        super().__init__(message)
        self.status = status

    def tell(self) -> int:
        """Say why; returns the exit status."""
        sys.stderr.write(f"error: {one_line(str(self))}\n")
        return self.status
