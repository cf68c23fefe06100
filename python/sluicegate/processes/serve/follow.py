"""Says when manifests may have changed, as soon as the system does.

Watched are the directories that were given, with all below them as the reader enters it, and each directory that has a
name on the way to what was given or linked: so that an editor's rename, a mounted ConfigMap's swap, a link that
git-sync exchanges for a new checkout, and what was not there before are all seen at once. In directories on the way
only those names count, whatever else there may be. Where the system cannot watch, files are looked at again and again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from sluicegate.controller.sources.files.disk import is_passing, is_plain, is_stream

from .inotify import CONTENT, NAMES, Inotify

#: Seconds that events gather after the first one, again while more come, and in all.
STEP, DEBOUNCE = 0.003, 0.05
#: Seconds between looks where the system cannot watch.
POLL = 0.5
#: Seconds between looks for what the system does not tell: that a file system was mounted there.
LOOK = 5.0
#: Links on the way to a path; the system follows no more.
MAX_LINKS = 40
#: Looks for directories in a row, while each finds others; what comes later is told.
MAX_LOOKS = 8

Warn = Callable[[str], None]


@dataclass(slots=True)
class Names:
    """Names that count in a directory that is watched.

    Attributes:
        every: all do, but hidden ones that come and go.
        named: those on the way to what was given or linked, hidden ones too.
    """

    every: bool = False
    named: set[str] = field(default_factory=set)


#: Directories to watch.
Wanted = dict[str, Names]


#: Directories at paths, by device and inode; None for what is none.
Identities = list[tuple[int, int] | None]


async def changes(paths: Iterable[str], warn: Warn) -> AsyncIterator[frozenset[str] | None]:
    """Yield the paths that may have changed, as soon as some have; None for any, also once when a watch begins.

    Args:
        paths: files and directories; standard input and pipes never change.
        warn: told when the system cannot watch.
    """
    given = [os.path.abspath(path) for path in paths if not is_stream(path)]
    if not given:
        return
    try:
        async for changed in _told(given):
            yield changed
    except (OSError, AttributeError) as error:  # a limit; a system that has no inotify
        warn(f"the system cannot watch the files ({error}): they are looked at every {POLL * 1000:.0f} ms instead")
    while True:
        yield None
        await asyncio.sleep(POLL)


async def _told(given: list[str]) -> AsyncIterator[frozenset[str] | None]:
    """What inotify tells.

    Raises:
        OSError: the system watches no more.
    """
    inotify = Inotify()
    try:
        identities, wanted = _identities(given), await _watch(inotify, given)
        # The watch stands before the files are looked at again: nothing falls between the two.
        yield None
        while True:
            touched = await _gather(inotify, wanted, given, identities)
            if touched is None or not all(_is_inside(path, wanted) and is_plain(path) for path in touched):
                before, identities = wanted, _identities(given)
                wanted = await _watch(inotify, given)
                # What came into a new directory before it was watched was not told.
                touched = touched if wanted == before else None
            yield touched
    finally:
        inotify.close()


async def _watch(inotify: Inotify, given: list[str]) -> Wanted:
    """Watch what there is, and what came while it was looked for: that was not told."""
    wanted: Wanted = {}
    for _ in range(MAX_LOOKS):
        before, wanted = wanted, await asyncio.to_thread(_wanted, given)
        if wanted == before:
            break
        inotify.watch(_masks(wanted))
    return wanted


async def _gather(inotify: Inotify, wanted: Wanted, given: list[str], identities: Identities) -> frozenset[str] | None:
    """What changed next; None where that is not known."""
    loop = asyncio.get_running_loop()
    found: set[str] = set()
    end = 0.0
    while True:
        timer = loop.call_later(0.0 if found else LOOK, inotify.wake)
        try:
            await inotify.wait()
        finally:
            timer.cancel()
        told = inotify.read()
        if told.lost or _identities(given) != identities:
            return None
        new = {path for path in told.paths if _counts(path, wanted)} - found
        if found and (not new or loop.time() >= end):
            return frozenset(found | new)
        if new and not found:
            end = loop.time() + DEBOUNCE
        found |= new
        await asyncio.sleep(STEP)


def _counts(path: str, wanted: Wanted) -> bool:
    directory, name = os.path.split(path)
    names = wanted.get(directory)
    return names is not None and (name in names.named or (names.every and not is_passing(path)))


def _is_inside(path: str, wanted: Wanted) -> bool:
    """Whether a path lies where all names count, so that no other directory is watched because of it."""
    names = wanted.get(os.path.dirname(path))
    return names is not None and names.every


def _identities(paths: Iterable[str]) -> Identities:
    """What is at paths now."""
    found: Identities = []
    for path in paths:
        try:
            status = os.stat(path + os.sep)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found


def _masks(wanted: Wanted) -> dict[str, int]:
    """What of each directory is to be told."""
    return {
        folder: CONTENT if names.every or any(is_plain(os.path.join(folder, name)) for name in names.named) else NAMES
        for folder, names in wanted.items()
    }


def _wanted(given: Iterable[str]) -> Wanted:
    """What has to be watched now; a directory that several links lead to is entered once."""
    wanted: Wanted = {}
    seen: set[tuple[int, int]] = set()
    for root in given:
        _follow(os.sep, root, wanted)
        for folder, folders, names in os.walk(root, followlinks=True):
            [identity] = _identities([folder])
            if identity is None or identity in seen:
                folders.clear()
                continue
            seen.add(identity)
            wanted.setdefault(folder, Names()).every = True
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in (*folders, *names):
                if not name.startswith(".") and os.path.islink(os.path.join(folder, name)):
                    _follow(os.path.realpath(folder), name, wanted)
    return wanted


def _follow(directory: str, path: str, wanted: Wanted) -> None:
    """Note each name on the way from a directory, without links to it, to a path, as far as there is something."""
    steps = path.split(os.sep)
    links = 0
    while steps and links <= MAX_LINKS:
        name = steps.pop(0)
        if name == "..":
            directory = os.path.dirname(directory)
        if name in {"", ".", ".."}:
            continue
        wanted.setdefault(directory, Names()).named.add(name)
        place = os.path.join(directory, name)
        try:
            target = os.readlink(place)
        except OSError:  # no link, or nothing
            if not os.path.isdir(place):
                return
            directory = place
        else:
            links += 1
            directory = os.sep if os.path.isabs(target) else directory
            steps[:0] = target.split(os.sep)
