"""Files that a setting or a kubeconfig names: plain ones only, up to a size.

A pipe would be waited for without end, and a device such as `/dev/zero` has none.
"""

from __future__ import annotations

import errno
import os
import stat


class PlainFileError(ValueError):
    """A path of no plain file, or of a larger one than may be; the message says which, and what to do."""


def read(path: str, limit: int, what: str) -> bytes:
    """Read a plain file.

    Args:
        path: of the file.
        limit: bytes that it may have.
        what: it should be, for the message, such as `token`.

    Raises:
        PlainFileError: it is none, or larger.
        OSError: the system refuses it.
    """
    # Without O_NONBLOCK, to open a pipe waits for who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(status.st_mode):
            text = f"the {what} {path} is no plain file, but a pipe or a device"
            raise PlainFileError(f"{text}: write it into a plain file, and name that")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1) if status.st_size <= limit else b""
    finally:
        os.close(descriptor)
    if max(status.st_size, len(data)) > limit:
        raise PlainFileError(f"the {what} {path} is larger than {limit:,} bytes, which no {what} is: name another file")
    return data
