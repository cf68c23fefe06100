"""Pages as their readers use them: manifests are written to a folder, commands are typed there.

A fence `yaml title="NAME"` (or `ini`) is a file. In a fence `console` a line that begins with `$ ` is typed; the lines
below it are what comes: in a line `...` stands for anything, and a line that is only that for any number of lines.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from system_gateway import LIMIT, own_address

#: What goes on until Ctrl-C, and a line that it writes once it serves.
_SERVING = {
    "sluicegate demo": "Manifests: ",
    "sluicegate serve": "Admin: ",
    "podman run": "Admin: ",
    "python3 -m http.server": "Serving HTTP",
}
#: Of what a container runs, what goes on.
_GOES_ON = re.compile(r" sluicegate:\S+ (?:demo|serve)\b")
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'^(?:yaml|ini) title="(?P<name>[\w.-]+)"$')
_PROMPT, _ANYTHING = "$ ", "..."


class Typed(NamedTuple):
    """A command of a page and the lines that are below it."""

    command: str
    expected: tuple[str, ...]


class Page(NamedTuple):
    """What a page has for its reader.

    Attributes:
        files: text by name.
        typed: in the order of the page.
    """

    files: dict[str, str]
    typed: tuple[Typed, ...]


def page_of(path: Path) -> Page:
    """Read a page.

    Raises:
        ValueError: a fence is of another kind, or has lines before its first command.
    """
    files: dict[str, str] = {}
    typed: list[Typed] = []
    for fence in _FENCE.finditer(path.read_text()):
        if title := _TITLE.match(fence["info"]):
            files[title["name"]] = fence["text"]
        elif fence["info"] == "console":
            typed += _typed(fence["text"])
        else:
            raise ValueError(f"{path.name}: a fence of the kind {fence['info']!r}")
    return Page(files, tuple(typed))


def _typed(text: str) -> Iterator[Typed]:
    if not text.startswith(_PROMPT):
        raise ValueError(f"a fence begins with {text.splitlines()[0]!r}, and not with a command")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        yield Typed(command, tuple(expected))


def is_as_expected(expected: tuple[str, ...], output: str) -> bool:
    """Whether an output is what stands below its command."""
    lines = [r"(?:.*\n)*" if line == _ANYTHING else _line(line) for line in expected]
    return re.fullmatch("".join(lines), output if output.endswith("\n") or not output else f"{output}\n") is not None


def _line(line: str) -> str:
    return ".*".join(map(re.escape, line.split(_ANYTHING))) + r"\n"


#: Stands in for Podman, where there is none: what the image's entry point is given, with paths of this machine.
_PODMAN = """#!/bin/sh
# podman run --rm [--network host] [-p PORT:PORT]... [-v FOLDER:PLACE:ro] sluicegate:VERSION ARGUMENT...
host= folder= place=
while :; do
    case $1 in
        run | --rm) shift ;;
        --network) host=$2; shift 2 ;;
        -p) test "${2%:*}" = "${2#*:}" || exit 2; shift 2 ;;
        -v) folder=${2%%:*}; place=${2#*:}; place=${place%:ro}; shift 2 ;;
        sluicegate:*) shift; break ;;
        *) echo "podman: $1?"; exit 2 ;;
    esac
done
case "$host $*" in
    " demo"*"--listen 0.0.0.0"* | " check"* | " explain"* | "host serve"*) ;;
    *) echo "podman: nobody reaches what listens within"; exit 2 ;;
esac
exec sluicegate $(echo "$*" | sed "s|${place:-^$}|$folder|; s|0\\.0\\.0\\.0|$ADDRESS|")
"""


def goes_on(command: str) -> str | None:
    """The line that says that what goes on until Ctrl-C serves; None of a command that ends."""
    for beginning, line in _SERVING.items():
        if command.startswith(beginning) and (beginning != "podman run" or _GOES_ON.search(command)):
            return line
    return None


class Terminal:
    """Types the commands of a page in a folder; what is served is on an address that no other test has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = own_address()
        programs = folder.parent / "programs"
        programs.mkdir()
        command = programs / "sluicegate"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sluicegate "$@"\n')
        command.chmod(0o755)
        # Whatever host and port a page names, it means the gateway that it started.
        (programs / ".curlrc").write_text(f'connect-to = "::{self.address}:"\n')
        path = f"{programs}:{os.environ['PATH']}"
        for name, text in (("podman", _PODMAN), ("pytest", f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n')):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            "PATH": path,
            "CURL_HOME": str(programs),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "ADDRESS": self.address,
        }

    def run(self, command: str) -> str:
        """What a command writes, errors with it."""
        # As `.curlrc` has it for curl.
        with self._started(command.replace("/dev/udp/localhost/", f"/dev/udp/{self.address}/")) as process:
            output, _ = process.communicate(timeout=LIMIT)
        return output.replace("\r", "")

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Have what goes on running."""
        begins = goes_on(command)
        assert begins is not None
        own = "" if command.startswith("python3") or "--listen" in command else f" --listen {self.address}"
        own += "" if command.startswith("python3") else f" --admin {self.address}:19000"
        with self._started(f"exec {command.replace('127.0.0.1', self.address)}{own}") as process:
            assert process.stdout is not None
            try:
                said = []
                for line in process.stdout:
                    said.append(line)
                    if line.startswith(begins):
                        break
                else:
                    raise AssertionError(f"{command} ended: {''.join(said)}")
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.stdout.read()

    def _started(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
