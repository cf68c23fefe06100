"""The version is said in one place, Cargo.toml; whatever else has to say it is written by this.

    python tools/release_version.py          say the version; status 1 where a place has another one, with its line
    python tools/release_version.py 0.2.0    set it everywhere, and begin its section of CHANGELOG.md

With the variable RELEASE_TAG (v0.2.0) it says besides whether that is the tag of this version, and whether its changes
have a date.

Versions are three numbers. Releases before a release are written differently by Cargo (0.2.0-rc.1) and by Python
(0.2.0rc1), so there are none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NUMBER = r"(\d+\.\d+\.\d+)"
#: The one place.
SOURCE = "Cargo.toml"
#: Places where the line has a form of its own, and how many there are in the file.
PLACES = {
    SOURCE: (rf'^version = "{NUMBER}"$', 1),
    "pyproject.toml": (rf'^version = "{NUMBER}"$', 1),
    "benches/cython/pyproject.toml": (rf'^version = "{NUMBER}"$', 1),
    "python/sluicegate/__init__.py": (rf'^__version__ = "{NUMBER}"$', 1),
    "deploy/chart/Chart.yaml": (rf"^(?:v|appV)ersion: {NUMBER}$", 2),
    "deploy/controller/kustomization.yaml": (rf"^  newTag: {NUMBER}$", 1),
    "tools/library_page.py": (rf"The version of the package, such as `{NUMBER}`", 1),
    "SECURITY.md": (rf"(?:refs/tags/v|`sluicegate-){NUMBER}", 2),
    "deploy/README.md": (rf"(?:/releases/download/v|--version ){NUMBER}\b", 2),
    "docs/library.md": (rf"The version of the package, such as `{NUMBER}`", 1),
}
#: Crates of the workspace, in the lock.
LOCK = "Cargo.lock"
LOCKED = (rf'^name = "sluicegate-[\w-]+"\nversion = "{NUMBER}"$', 6)
#: Everywhere else: the image with its tag, and what `serve` says.
NAMED = rf"\b(?:sluicegate:|Sluicegate ){NUMBER}\b"
NAMED_IN = (".md", ".yaml", ".yml", ".py", ".toml", "Makefile", "Containerfile")
#: What was measured or reported of one version stays as it was, as do the changes of the past; this tool has examples.
RECORDS = (
    "benches/results/",
    "tests/conformance/reports/",
    "CHANGELOG.md",
    "tools/release_version.py",
    "tests/unit/test_release_version.py",
)
CHANGES = "CHANGELOG.md"


class VersionError(ValueError):
    """A place lacks the version, or has another one; the message says which line."""


class Place(NamedTuple):
    """Where a version stands in a text: from here to there, which line that is, and what it is."""

    start: int
    end: int
    line: int
    version: str


def tracked(root: Path) -> list[str]:
    """Files of the repository, as paths in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def places(name: str, text: str) -> list[Place]:
    """Every place of a file that says the version.

    Raises:
        VersionError: there are fewer or more than there should be.
    """
    found: dict[int, Place] = {}
    keyed = {**PLACES, LOCK: LOCKED}.get(name)
    if keyed:
        pattern, count = keyed
        found = dict(_matches(pattern, text))
        if len(found) != count:
            raise VersionError(f"{name}: {len(found)} places match {pattern}, there should be {count}")
    if name.endswith(NAMED_IN) and not name.startswith(RECORDS):
        found.update(_matches(NAMED, text))
    return [found[start] for start in sorted(found)]


def _matches(pattern: str, text: str) -> Iterator[tuple[int, Place]]:
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield match.start(1), Place(match.start(1), match.end(1), text.count("\n", 0, match.start(1)) + 1, match[1])


def version(root: Path = ROOT) -> str:
    """Return the version of the tree.

    Raises:
        VersionError: Cargo.toml does not say it once.
    """
    [place] = places(SOURCE, (root / SOURCE).read_text())
    return place.version


def disagreements(root: Path, names: Iterable[str]) -> list[str]:
    """Each place that has another version than Cargo.toml, as a line for people.

    Raises:
        VersionError: a place is missing.
    """
    wanted, wrong = version(root), []
    for name in names:
        if name.endswith((*NAMED_IN, LOCK)):
            wrong += [
                f"{name}:{place.line}: {place.version}, {SOURCE} says {wanted}; run: make version TO={wanted}"
                for place in places(name, (root / name).read_text())
                if place.version != wanted
            ]
    return wrong


def wrong_for_a_tag(root: Path, tag: str) -> list[str]:
    """What keeps a tag from being released, as lines for people.

    Raises:
        VersionError: Cargo.toml does not say its version once.
    """
    wanted, wrong = version(root), []
    if tag != f"v{wanted}":
        wrong.append(
            f"the tag {tag} is not v{wanted}, the version of {SOURCE}: set it by `make version TO=...`, or tag anew"
        )
    if not re.search(rf"^## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d$", (root / CHANGES).read_text(), re.MULTILINE):
        wrong.append(f"{CHANGES}: the heading of {wanted} has no date; write `## [{wanted}] - YYYY-MM-DD`")
    return wrong


def set_version(root: Path, names: Iterable[str], new: str) -> list[str]:
    """Write a version everywhere; returns the files that changed.

    Raises:
        VersionError: it is not three numbers, or a place is missing.
    """
    if not re.fullmatch(NUMBER, new):
        raise VersionError(f"{new}: a version is three numbers, such as 0.2.0")
    changed = []
    for name in names:
        path = root / name
        if not name.endswith((*NAMED_IN, LOCK)) or path.is_symlink():
            continue
        text = before = path.read_text()
        for place in reversed(places(name, text)):
            text = text[: place.start] + new + text[place.end :]
        if name == CHANGES:
            text = _with_section(text, new)
        if text != before:
            path.write_text(text)
            changed.append(name)
    return changed


def _with_section(text: str, new: str) -> str:
    """The changes with an empty section for a version that has none."""
    if f"\n## [{new}] - " in text:
        return text
    text = text.replace("\n## [", f"\n## [{new}] - unreleased\n\n## [", 1)
    [link] = re.findall(r"^\[[\d.]+\]: (\S+/v)[\d.]+$", text, re.MULTILINE)[:1]
    return re.sub(r"^(\[[\d.]+\]: )", rf"[{new}]: {link}{new}\n\1", text, count=1, flags=re.MULTILINE)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    try:
        names = tracked(root)
        if arguments:
            [new] = arguments
            print("\n".join(set_version(root, names, new)) or f"{new} already")
        tag = os.environ.get("RELEASE_TAG", "")
        wrong = [*disagreements(root, names), *(wrong_for_a_tag(root, tag) if tag else ())]
    except (VersionError, subprocess.SubprocessError) as error:
        wrong = [str(error)]
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    if not wrong:
        print(version(root))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
