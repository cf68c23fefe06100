"""The last good configuration in a file, so that a data plane serves at once when nobody is there to ask.

The file: one line of JSON (format, IR version, length and SHA-256 of the rest), then the rest, the holdings as JSON. It
has private keys in it, so only its owner may read it (mode 0600). It is written beside, synchronised and renamed: a
crash leaves the old one or the new one. One that is broken, too large or of another version is told and ignored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from sluicegate import ir

from ..controller import caught, plain_file
from .holdings import Held, Holdings, Tables

NAME = "configuration.snapshot"
FORMAT = "sluicegate-snapshot-1"
#: Bytes of a file that is written or read: two of them fit on the volume of a pod (64 MiB).
MAX_BYTES = 31 * 1024 * 1024
#: Bytes of its first line.
MAX_HEADER = 512


class SnapshotError(ValueError):
    """A snapshot that cannot be used or written; the message says why."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    ir_version: int
    length: int
    sha256: str


_TABLES = msgspec.json.Decoder(dict[str, dict[str, Held]])


def write_snapshot(directory: str, holdings: Tables) -> None:
    """Write the snapshot; blocks for the disk.

    Raises:
        SnapshotError: the file cannot be written, or would be too large.
    """
    body = msgspec.json.encode(holdings)
    if len(body) > MAX_BYTES - MAX_HEADER:
        raise SnapshotError(f"the configuration is larger than a snapshot may be ({MAX_BYTES:,} bytes)")
    header = _Header(FORMAT, ir.VERSION, len(body), hashlib.sha256(body).hexdigest())
    path = Path(directory, NAME)
    beside = Path(directory, f".{NAME}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()  # of a process that ended while it wrote
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(header) + b"\n")
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync(directory)
    except OSError as error:
        raise SnapshotError(f"{path} cannot be written: {error.strerror}") from None


def read_snapshot(directory: str) -> Holdings | None:
    """Read the snapshot; None where there is none.

    Raises:
        SnapshotError: it is broken, too large, or of another version.
    """
    path = Path(directory, NAME)
    try:
        data = plain_file.read(str(path), MAX_BYTES, "snapshot")
    except FileNotFoundError:
        return None
    except plain_file.PlainFileError as error:
        raise SnapshotError(str(error)) from None
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}") from None
    line, _, body = data.partition(b"\n")
    header = _read_header(path, line[:MAX_HEADER])
    if len(body) != header.length or hashlib.sha256(body).hexdigest() != header.sha256:
        raise SnapshotError(f"{path} is broken: its checksum is another")
    try:
        return Holdings(_TABLES.decode(body))
    except caught.UNREADABLE as error:
        raise SnapshotError(f"{path} is broken: {error}") from None


def _read_header(path: Path, line: bytes) -> _Header:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except caught.UNREADABLE:
        raise SnapshotError(f"{path} is no snapshot") from None
    if header.format != FORMAT or header.ir_version != ir.VERSION:
        raise SnapshotError(f"{path} is of another version of the gateway ({header.format}, IR {header.ir_version})")
    if not 0 <= header.length <= MAX_BYTES:
        raise SnapshotError(f"{path} is larger than a snapshot may be ({MAX_BYTES:,} bytes)")
    return header


def _sync(directory: str) -> None:
    """The name is on the disk too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
