"""Says when manifests may have changed, as soon as the system does.

Watches the directories that were given, the directories of files that were given, and what symbolic links lead to, so
that an editor's rename and a mounted ConfigMap's swap are both seen. A link above them, as git-sync exchanges it, is
looked at by the clock: the folder that has it may hold a whole file system, and nothing in there would matter. Where
the system cannot watch (a limit, a network file system), the files are looked at again and again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable

# The library's back end by itself: `awatch` does not say when its watch stands (both are documented).
from watchfiles._rust_notify import RustNotify

from sluicegate.controller.sources.files.disk import is_passing, is_plain, is_stream

#: Milliseconds between looks at the events that gathered. A change waits one or two of them.
STEP = 3
#: Milliseconds after which gathered events are handed on, however many still come.
DEBOUNCE = 50
#: Milliseconds between looks where the system cannot watch.
POLL = 500
#: Milliseconds after which a watch without events looks whether it still watches the right directories.
WAIT = 5_000
#: The same where links lead to what was given: whether they lead elsewhere now. It costs a few calls of the system.
WAIT_LINKED = 250
#: Seconds between looks for a directory that vanished.
VANISHED_POLL = 0.25

Warn = Callable[[str], None]


async def changes(paths: Iterable[str], stop: asyncio.Event, warn: Warn) -> AsyncIterator[frozenset[str] | None]:
    """Yield the paths that may have changed, as soon as some have; None for any, also once when a watch begins.

    Args:
        paths: files and directories; standard input and pipes never change.
        stop: ends the watch.
        warn: told when the system cannot watch.
    """
    given = [path for path in paths if not is_stream(path)]
    polling = False
    while not stop.is_set():
        watched = _watched(given)
        lone = _lone(given)
        if not watched:
            await _pause(stop)
            if any(os.path.exists(path) for path in given):
                yield None
            continue
        places = _places(given)
        linked = places != [os.path.abspath(path) for path in given]
        wait = WAIT_LINKED if linked else WAIT
        waited = 0
        try:
            # The watch stands before the files are looked at again: nothing falls between the two.
            with RustNotify(watched, False, polling, POLL, _is_recursive(given), True) as watcher:
                yield None
                while True:
                    told = await asyncio.to_thread(watcher.watch, DEBOUNCE, STEP, wait, stop)
                    if told == "stop":
                        return
                    paths_told = [path for _, path in told] if isinstance(told, set) else []
                    touched = frozenset(path for path in paths_told if not (is_passing(path) or _foreign(path, lone)))
                    if touched:
                        yield touched
                    waited = 0 if paths_told else waited + wait
                    steady = all(map(is_plain, touched)) if paths_told else waited < WAIT
                    if linked and _places(given) != places:
                        break  # a link leads elsewhere: what it led to is watched for nothing
                    if not steady and _watched(given) != watched:
                        break  # a directory is new, gone or links elsewhere: watch what is there now
        except (OSError, RuntimeError) as error:
            if all(os.path.exists(path) for path in watched) and not polling:
                warn(f"the system cannot watch the files ({error}): they are looked at every {POLL} ms instead")
                polling = True
            await _pause(stop)


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), VANISHED_POLL)
    except TimeoutError:
        return


def _places(paths: Iterable[str]) -> list[str]:
    """Where paths lead to, whatever links there are on the way."""
    return [os.path.realpath(path) for path in paths]


def _is_recursive(paths: Iterable[str]) -> bool:
    """Whether a watch is of all below: not where only files were given."""
    return any(map(os.path.isdir, paths))


def _watched(paths: list[str]) -> list[str]:
    """What has to be watched: sorted, without what lies below something else that is watched with all below."""
    found: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            found.add(os.path.abspath(path))
            found.update(_links_below(path))
        # The parent tells when what was given is replaced, vanishes, or comes back.
        parent = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(path):
            found.add(parent)
            if os.path.islink(path):
                found.add(os.path.dirname(os.path.realpath(path)))
    existing = sorted(path for path in found if os.path.isdir(path))
    if not _is_recursive(paths):
        return existing
    return [path for path in existing if not any(path.startswith(other + os.sep) for other in existing)]


def _lone(paths: Iterable[str]) -> dict[str, set[str]]:
    """Directories of which only some files matter, with these: those that plain files were given from."""
    found: dict[str, set[str]] = {}
    directories = [os.path.abspath(path) for path in paths if os.path.isdir(path)]
    for path in map(os.path.abspath, paths):
        parent = os.path.dirname(path)
        if not os.path.isdir(path) and not any(f"{parent}{os.sep}".startswith(item + os.sep) for item in directories):
            found.setdefault(parent, set()).add(path)
    # A link is followed through names that nobody gave: everything beside it may matter.
    linked = {os.path.dirname(path) for files in found.values() for path in files if os.path.islink(path)}
    linked |= {os.path.dirname(os.path.realpath(path)) for path in paths if os.path.islink(path)}
    return {parent: files for parent, files in found.items() if parent not in linked}


def _foreign(path: str, lone: dict[str, set[str]]) -> bool:
    """Whether a path lies beside a file that was given, and is not it."""
    files = lone.get(os.path.dirname(path))
    return files is not None and path not in files


def _links_below(root: str) -> set[str]:
    found = set()
    for folder, folders, names in os.walk(root, followlinks=False):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                target = os.path.realpath(path)
                found.add(target if os.path.isdir(target) else os.path.dirname(target))
    return found
