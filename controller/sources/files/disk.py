"""Files and directories as they are: what may be read, what it says, and what helps where it cannot be read.

Only plain files below directories are read. A path that is given may be a pipe too, such as `<(helm template .)`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from ...api import Diagnostic
from .documents import unreadable

#: One file. Stops a wrong path (a disk image, a log, an endless pipe) from filling the memory.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: Directories below one that is given. Stops a link that leads to the whole machine.
MAX_FOLDERS = 20_000
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = "-"

#: The byte order mark that editors write at the beginning of a file: in files that were put together each part has one.
_MARK = "\ufeff"
_MARKS = re.compile(rf"^{_MARK}", re.MULTILINE)

#: How a file looked: device, inode, size, and the times (nanoseconds) of the last change as programs may set it, and as
#: the system has it.
Stamp = tuple[int, ...]


class Unreadable(Exception):  # noqa: N818 (a state of a file, not a mistake of ours)
    """A file that cannot be read; `diagnostic` says why and what helps, `gone` that it is not there."""

    def __init__(self, diagnostic: Diagnostic, *, gone: bool = False) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic
        self.gone = gone


def stamp_of(path: str) -> Stamp:
    """How a plain file looks.

    Raises:
        Unreadable: it is not there, no plain file, or too large.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise Unreadable(unreadable(path, 0, reason(error, path)), gone=error.errno == errno.ENOENT) from None
    if not stat.S_ISREG(status.st_mode):
        what = _kind(status.st_mode)
        raise Unreadable(unreadable(path, 0, f"is {what}, not a file: move it away, or give it as a path of its own"))
    if status.st_size > MAX_FILE_BYTES:
        raise Unreadable(unreadable(path, 0, _too_large(status.st_size)))
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_file(path: str) -> str:
    """The text of a plain file.

    Raises:
        Unreadable: the system refuses it, or it is no text.
    """
    try:
        with open(path, "rb") as file:
            size = min(os.fstat(file.fileno()).st_size, MAX_FILE_BYTES)
            data = file.read(size + 1)  # room for all that may be read would take longer to get than to fill
            if len(data) > size:
                data += file.read(MAX_FILE_BYTES + 1 - len(data))
            return _text(path, data)
    except OSError as error:
        raise Unreadable(unreadable(path, 0, reason(error, path)), gone=error.errno == errno.ENOENT) from None


def read_stream(path: str, standard_input: TextIO | None = None) -> str:
    """All that a pipe, a terminal or standard input (`-`) has to say; waits for its end.

    Raises:
        Unreadable: the system refuses it, it does not end, or it is no text.
    """
    try:
        if path != STANDARD_INPUT:
            with open(path, "rb") as file:
                return _text(path, file.read(MAX_FILE_BYTES + 1))
        source = standard_input if standard_input is not None else sys.stdin
        return _text(path, source.buffer.read(MAX_FILE_BYTES + 1))
    except OSError as error:
        raise Unreadable(unreadable(path, 0, reason(error, path))) from None


def is_open_for_writing(path: str) -> bool | None:
    """Whether some program has a file open for writing; None where the system does not tell.

    Linux gives a lease for reading only on a file that nobody can write (fcntl(2), "Leases"), to the file's owner and
    to root. It is given back at once; a program that opens the file just then waits so long. A process that calls this
    has to ignore SIGIO, by which the system would ask for it.
    """
    lease = getattr(fcntl, "F_SETLEASE", None)
    if lease is None:
        return None
    try:
        with open(path, "rb") as file:
            try:
                fcntl.fcntl(file, lease, fcntl.F_RDLCK)
            except BlockingIOError:
                return True
            fcntl.fcntl(file, lease, fcntl.F_UNLCK)
            return False
    except OSError:
        return None


def is_stream(path: str) -> bool:
    """Whether it can be read once only: standard input, a pipe, a socket or a device."""
    if path == STANDARD_INPUT:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_plain(path: str) -> bool:
    """Whether it is a plain file, not a link to one."""
    return os.path.isfile(path) and not os.path.islink(path)


def is_shared(path: str) -> bool:
    """Whether a file may be written by another name than this one: it is a link, or has several names."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISLNK(status.st_mode) or status.st_nlink > 1


def is_passing(path: str) -> bool:
    """Whether a path is one that editors and shells write and take away: hidden, and a plain file or gone."""
    return os.path.basename(path).startswith(".") and (is_plain(path) or not os.path.lexists(path))


def manifests_below(root: str, diagnostics: list[Diagnostic], closed: list[str]) -> Iterator[str]:
    """Yield the manifests below a directory, sorted; a directory that links lead to is entered once.

    Args:
        root: the directory.
        diagnostics: takes what cannot be read.
        closed: takes the directories that cannot be read.
    """
    seen: set[tuple[int, int]] = set()

    def complain(error: OSError) -> None:
        path = os.fsdecode(error.filename)
        closed.append(path)
        diagnostics.append(unreadable(path, 0, reason(error, path, directory=True)))

    for folder, folders, names in os.walk(root, onerror=complain, followlinks=True):
        try:
            status = os.stat(folder)
        except OSError as error:
            complain(error)
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if len(seen) > MAX_FOLDERS:
            closed.append(root)
            diagnostics.append(_too_many_folders(root, folder))
            return
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(_manifests(names)))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a directory or file, or lies below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def each_once(paths: Iterable[str]) -> list[str]:
    """Paths without those that lead to a file again: it may be given in two ways, or be linked."""
    folders: dict[str, str] = {}
    found: dict[str, str] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if path == STANDARD_INPUT:
            real = path
        elif os.path.islink(path):
            real = os.path.realpath(path)
        else:
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            real = os.path.join(folders[folder], name)
        found.setdefault(real, path)
    return list(found.values())


def _too_many_folders(root: str, folder: str) -> Diagnostic:
    """`folder`: one that is too many."""
    way = folder
    while way != root and not os.path.islink(way):
        way = os.path.dirname(way)
    cause = f"{way} links to {os.path.realpath(way)}: remove the link" if way != root else "give a smaller directory"
    return unreadable(root, 0, f"has more than {MAX_FOLDERS:,} directories below it, the others are left out: {cause}")


def missing_path(path: str) -> Diagnostic:
    """What is wrong with a path that was given and does not seem to be there."""
    try:
        os.stat(path)
    except PermissionError as error:
        return unreadable(path, 0, reason(error, os.path.dirname(path) or ".", directory=True))
    except OSError as error:
        if os.path.islink(path):
            return unreadable(path, 0, reason(error, path))
    return unreadable(path, 0, "no such file or directory: check the path, or mount what belongs there")


def reason(error: OSError, path: str, *, directory: bool = False) -> str:
    """Why something cannot be read, and what helps."""
    return f"cannot be read: {error.strerror or error}: {_remedy(error, path, directory=directory)}"


def _remedy(error: OSError, path: str, *, directory: bool) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        mode = "a+rx" if directory else "a+r"
        return f"let user {os.geteuid()}, who runs the gateway, read it, such as by chmod {mode} {path}"
    if error.errno == errno.ENOENT and os.path.islink(path):
        return f"it links to {os.readlink(path)}, which does not exist: correct the link or remove it"
    if error.errno == errno.ENOENT:
        return "it was taken away meanwhile: check the path, or mount what belongs there"
    if error.errno == errno.ELOOP:
        return "links lead in a circle: correct the link or remove it"
    return "check the file system"


def _text(path: str, data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(unreadable(path, 0, _too_large(len(data))))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(unreadable(path, line, "not UTF-8 text: save it as UTF-8, or move it away")) from None
    if _MARK in text:
        text = _MARKS.sub("", text)
    return text.replace("\r\n", "\n") if "\r" in text else text  # one character is found much faster than two


def _too_large(size: int) -> str:
    return f"{size:,} bytes; at most {MAX_FILE_BYTES:,} are read: split the file"


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a directory"))
    return next((name for test, name in kinds if test(mode)), "a device")


def _manifests(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith(".") and os.path.splitext(name)[1] in SUFFIXES)
