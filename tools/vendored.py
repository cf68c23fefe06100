#!/usr/bin/env python3
"""Whether each copy in `native/vendor` is the published crate plus the difference that stands beside it.

    python tools/vendored.py            say so; 1 where a copy is something else, 3 where nothing could be compared
    python tools/vendored.py --write    write the differences anew, after a copy was changed or renewed

`native/vendor/NAME/` is the copy, `native/vendor/NAME.patch` the difference; its first line is the checksum that the
registry has of the published crate. That one comes by cargo into a temporary folder. Run by `make check`. Needs git and
cargo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Seconds for one program.
LIMIT = 120
#: What a copy has for itself, and what it must have: the rest of a published crate is no part of a build.
OWN = "README.md"
NEEDED = ("src/*", "Cargo.toml", "LICENSE*")
CHECKSUM = "checksum: "
COULD_NOT = 3


class UnpublishedError(Exception):
    """The published crate cannot be had here."""


def published(copy: Path, folder: Path) -> tuple[Path, str]:
    """The crate that a copy was made of, and its checksum in the registry; `folder` is empty.

    Raises:
        UnpublishedError: cargo does not get it.
    """
    package = tomllib.loads((copy / "Cargo.toml").read_text())["package"]
    name, version = package["name"], package["version"]
    (folder / "lib.rs").touch()
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "asks"\nversion = "0.0.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n[workspace]\n'
        f'[dependencies]\n{name} = "={version}"\n'
    )
    command = ["cargo", "vendor", "--quiet", "--versioned-dirs", "found"]
    try:
        asked = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnpublishedError(str(error)) from error
    if asked.returncode:
        raise UnpublishedError(asked.stderr.strip())
    found = folder / "found" / f"{name}-{version}"
    return found, json.loads((found / ".cargo-checksum.json").read_text())["package"]


def files(folder: Path) -> dict[str, bytes]:
    """Contents by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def git(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """A command of git on plain files: no repository around them counts."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "-c", "core.autocrlf=false", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT, check=False)


def stage(source: Path, folder: Path) -> None:
    """Put what is needed of a crate into a folder."""
    for name, content in files(source).items():
        if any(fnmatch(name, needed) for needed in NEEDED):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def differences(crate: Path, copy: Path, patch: Path) -> Iterator[str]:
    """What a copy has otherwise than the crate with the patch; nothing where they are the same."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stage(crate, folder)
        applied = git("apply", patch.absolute(), folder=folder)
        if applied.returncode:
            yield f"{patch.name} does not fit the published crate: {applied.stderr.decode().strip()}"
            return
        expected = files(folder)
    found = files(copy)
    found.pop(OWN, None)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"{copy.name}/{name} is missing"
        elif name not in expected:
            yield f"{copy.name}/{name} is no part of it"
        elif expected[name] != found[name]:
            yield f"{copy.name}/{name} differs from the published one otherwise than {patch.name} says"


def write(crate: Path, checksum: str, copy: Path, patch: Path) -> None:
    """Write the difference of a copy."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stage(crate, folder / "a")
        stage(copy, folder / "b")
        made = git("diff", "--no-index", "--no-renames", "--no-prefix", "a", "b", folder=folder)
    patch.write_bytes(f"{CHECKSUM}{checksum}\n".encode() + made.stdout)


def main(arguments: list[str], vendor: Path = ROOT / "native" / "vendor") -> int:
    """Print what is not as it should be."""
    wrong: list[str] = []
    for manifest in sorted(vendor.glob("*/Cargo.toml")):
        copy, patch = manifest.parent, manifest.parent.with_suffix(".patch")
        with tempfile.TemporaryDirectory() as place:
            try:
                crate, checksum = published(copy, Path(place))
            except UnpublishedError as error:
                print(f"NOT COMPARED: the published crate {copy.name} cannot be had here: {error}")
                return COULD_NOT
            if "--write" in arguments:
                write(crate, checksum, copy, patch)
            said = patch.read_text().partition("\n")[0]
            if said != f"{CHECKSUM}{checksum}":
                wrong.append(f"{patch.name} is of another crate: {said}, the registry has {checksum}")
            wrong += differences(crate, copy, patch)
    print("\n".join(wrong) or "each copy in native/vendor is the published crate with its patch")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
