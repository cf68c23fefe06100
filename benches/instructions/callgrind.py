"""Callgrind: whether it is there, how a process is run under it, and what its output says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

#: `ob=(2) /path/of/object`; the path stands only where the number occurs first. `cob=` names the object of a callee.
_OBJECT = re.compile(r"(c?)ob=\((\d+)\)(?: (.*))?")
_CHILD = Path(__file__).with_name("child.py")


def missing() -> str | None:
    """Why there can be no counts on this machine, or None."""
    if shutil.which("valgrind") is None:
        return "There is no valgrind here (Debian, Ubuntu: apt-get install valgrind)."
    command = ["valgrind", "--tool=none", "-q", sys.executable, "-I", "-S", "-c", ""]
    probe = subprocess.run(command, capture_output=True, text=True, check=False)
    if probe.returncode != 0:  # such as a valgrind that is older than the processor
        return f"valgrind cannot run {sys.executable}: {probe.stderr.strip()[-300:]}"
    return None


def command(output: Path, *arguments: str) -> list[str]:
    """The command that runs `child.py` under callgrind, which writes its counts to a file."""
    valgrind = ["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={output}"]
    return [*valgrind, sys.executable, "-I", "-S", str(_CHILD), *arguments]


def instructions_of(lines: list[str], library: str) -> int:
    """Instructions that were run inside an object, what it calls in others not included.

    Args:
        lines: of callgrind's output (format version 1; valgrind's manual, "Callgrind Format Specification").
        library: name of the object's file.

    Raises:
        ValueError: the object does not occur.
    """
    names: dict[str, str] = {}
    totals: dict[str, int] = {}
    current, is_call = "", False
    for line in lines:
        if found := _OBJECT.match(line):
            if found[3]:
                names[found[2]] = found[3]
            if not found[1]:
                current = found[2]
        elif line.startswith("calls="):
            is_call = True  # the next line has the cost of the callee
        elif line[:1] in set("0123456789+-*"):
            if not is_call:
                totals[current] = totals.get(current, 0) + int(line.split()[1])
            is_call = False
    of_library = [number for number, name in names.items() if Path(name).name == library]
    if not of_library:
        raise ValueError(f"callgrind saw nothing of {library}")
    return sum(totals.get(number, 0) for number in of_library)
