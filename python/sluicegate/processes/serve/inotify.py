"""The system's own word of what changes in directories: inotify(7) of Linux.

Nothing is asked while nothing changes: the event loop wakes up when the system has something to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

# sys/inotify.h
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x002, 0x004, 0x008
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x040, 0x080, 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _MASK_ADD = 0x01000000, 0x20000000

#: What comes, goes or is exchanged in a directory, and what is written in it besides.
NAMES = _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
CONTENT = NAMES | _MODIFY | _CLOSE_WRITE

#: Bytes of one read: some thousand events. The system keeps `fs.inotify.max_queued_events`, and tells what it lost.
READ = 65_536

_HEADER = struct.Struct("iIII")


class Told(NamedTuple):
    """What the system tells.

    Attributes:
        paths: what changed; of a directory that is gone or was moved, the directory.
        lost: there was more than the system kept.
    """

    paths: set[str]
    lost: bool


class Inotify:
    """Watches directories, not what is below them; lives on an event loop."""

    def __init__(self) -> None:
        """Watch nothing yet.

        Raises:
            OSError: the system has no more of it, or has it not at all.
        """
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._call("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._paths: dict[int, set[str]] = {}
        self._watches: dict[str, int] = {}
        self._readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self.wake)

    def close(self) -> None:
        """Watch no more."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def watch(self, wanted: Mapping[str, int]) -> None:
        """Watch these directories, each for `NAMES` or `CONTENT`, and no others.

        What is gone, or may not be looked at, is left out: what has its name tells when that changes.

        Raises:
            OSError: the system watches no more.
        """
        for path in [path for path in self._watches if path not in wanted]:
            self._forget(path)
        for path, mask in wanted.items():
            # Also one that is watched: something else may have its name now.
            watch = self._add(path, mask)
            if self._watches.get(path, watch) != watch:
                self._forget(path)
            if watch is not None:
                self._watches[path] = watch
                self._paths.setdefault(watch, set()).add(path)

    async def wait(self) -> None:
        """Until the system has something to say, or `wake`."""
        await self._readable.wait()

    def wake(self) -> None:
        """End the wait; until the next `read` nothing else does: what changes all the time keeps no loop busy."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._readable.set()

    def read(self) -> Told:
        """What it has to say, at once."""
        self._readable.clear()
        paths: set[str] = set()
        lost = False
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._descriptor, READ):
                lost = self._take(data, paths) or lost
        asyncio.get_running_loop().add_reader(self._descriptor, self.wake)
        return Told(paths, lost)

    def _take(self, data: bytes, paths: set[str]) -> bool:
        """Take events; returns whether some were lost."""
        lost, place = False, 0
        while place < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, place)
            name = os.fsdecode(data[place + _HEADER.size : place + _HEADER.size + length].rstrip(b"\0"))
            place += _HEADER.size + length
            lost = lost or bool(mask & _OVERFLOW)
            directories = self._paths.get(watch, set())
            if name:
                paths.update(os.path.join(directory, name) for directory in directories)
            elif mask & (_DELETE_SELF | _MOVE_SELF | _UNMOUNT):
                paths.update(directories)
            if mask & _IGNORED:
                for path in self._paths.pop(watch, set()):
                    self._watches.pop(path, None)
        return lost

    def _add(self, path: str, mask: int) -> int | None:
        try:
            return self._call("inotify_add_watch", self._descriptor, os.fsencode(path), mask | _ONLYDIR | _MASK_ADD)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.ENOMEM}:
                raise
            return None

    def _forget(self, path: str) -> None:
        watch = self._watches.pop(path)
        paths = self._paths[watch]
        paths.discard(path)
        if not paths:
            del self._paths[watch]
            with contextlib.suppress(OSError):  # it is gone
                self._call("inotify_rm_watch", self._descriptor, watch)

    def _call(self, name: str, *arguments: int | bytes) -> int:
        result = int(getattr(self._library, name)(*arguments))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
