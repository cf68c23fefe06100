"""The bill of materials of a release: what is in the wheel and in the image besides our own code, as CycloneDX 1.6.

    python tools/bill_of_materials.py FILE

Crates are those that are linked into the native library on any of the platforms that wheels are built for, in the
versions of Cargo.lock. Python packages are those that pyproject.toml asks for, with what they ask for, in the versions
that are installed here: a wheel fixes none, so they are what the release was tried with. maturin puts a bill of the
crates into each wheel besides (`*.dist-info/sboms`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cross_wheels import PLATFORMS
from release_version import version
from requirements import requirements

ROOT = Path(__file__).parents[1]
#: The crate that is the native library.
LIBRARY = "sluicegate-py"
#: Extras whose packages are in the image.
IN_THE_IMAGE = ("kubernetes",)
#: Seconds for cargo where it has to ask the registry.
LIMIT = 300


class BillError(RuntimeError):
    """The bill cannot be made; the message says what is missing, and how to get it."""


class Crate(NamedTuple):
    """A crate that is linked.

    Attributes:
        name: its name.
        version: its version.
        licence: an expression of SPDX.
        sha256: of the published crate, as Cargo.lock has it; empty for what is in this tree.
        ours: whether it is in this tree.
    """

    name: str
    version: str
    licence: str
    sha256: str
    ours: bool


class Package(NamedTuple):
    """A Python package.

    Attributes:
        name: its name in the normal form.
        version: the one that is installed.
        licence: an expression of SPDX, or what the package says.
        asked: the versions that pyproject.toml allows; empty where another package asks for it.
        extra: whether only the image has it.
    """

    name: str
    version: str
    licence: str
    asked: str
    extra: bool


def crates() -> list[Crate]:
    """Every crate of the native library, on any platform of ours.

    Raises:
        BillError: cargo cannot say it.
    """
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    sums = {(item["name"], item["version"]): item.get("checksum", "") for item in locked}
    found = {}
    for platform in PLATFORMS:
        metadata = json.loads(_cargo("metadata", "--format-version", "1", "--filter-platform", platform))
        linked = _linked(platform)
        for item in metadata["packages"]:
            key = (item["name"], item["version"])
            if key in linked:
                licence = re.sub(r"\s*/\s*", " OR ", item["license"] or "")
                ours = Path(item["manifest_path"]).is_relative_to(ROOT)
                found[key] = Crate(*key, licence, sums.get(key, ""), ours)
    return [found[key] for key in sorted(found)]


def _linked(platform: str) -> set[tuple[str, str]]:
    """Name and version of what the library needs when it runs: neither tests nor what only builds it.

    `cargo metadata` would also name what is optional and left out (`borsh?/std` among the features of a crate).
    """
    what = ("--package", LIBRARY, "--edges", "normal", "--target", platform)
    lines = _cargo("tree", *what, "--prefix", "none", "--format", "{p}").splitlines()
    return {(name, version.removeprefix("v")) for name, version, *_ in (line.split() for line in lines if line)}


def _cargo(*arguments: str) -> str:
    command = ["cargo", arguments[0], "--locked", *arguments[1:]]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT)
    if result.returncode:
        raise BillError(f"cargo {arguments[0]}, which names the crates: {result.stderr[-1000:]}")
    return result.stdout


def packages() -> list[Package]:
    """Every Python package of the image, in the version that is installed here.

    Raises:
        BillError: one is not installed.
    """
    found: dict[str, Package] = {}
    for extra, lines in ((False, requirements()), (True, requirements(IN_THE_IMAGE))):
        asked = {canonicalize_name(Requirement(line).name): str(Requirement(line).specifier) for line in lines}
        for name, item in _closure(lines).items():
            licence = _licence(item)
            found.setdefault(name, Package(name, item.version, licence, asked.get(name, ""), extra))
    return [found[name] for name in sorted(found)]


def _closure(lines: Iterable[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [Requirement(line) for line in lines]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        try:
            item = distribution(name)
        except PackageNotFoundError:
            raise BillError(
                f"{name} is not installed: python tools/requirements.py {' '.join(IN_THE_IMAGE)} names all"
            ) from None
        extras = ("", *wanted.extras)
        if name in found and not wanted.extras:
            continue
        found[name] = item
        for line in item.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def _licence(item: Distribution) -> str:
    """The expression of SPDX where a package has one, else what it says."""
    metadata = item.metadata
    said = metadata.get("License-Expression") or metadata.get("License") or ""
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if line.startswith("License ::")
    ]
    return said if said and len(said) < 60 and "\n" not in said else " AND ".join(classifiers)


def bill() -> str:
    """Return the bill as JSON: the same for the same versions, at the time of the commit.

    Raises:
        BillError: a package is not installed, or cargo cannot name the crates.
    """
    number, make = version(), LicenseFactory()
    root = Component(
        name="sluicegate",
        version=number,
        type=ComponentType.APPLICATION,
        bom_ref="sluicegate",
        purl=PackageURL("pypi", None, "sluicegate", number),
        licenses=[make.make_from_string("Apache-2.0")],
    )
    components = []
    for crate in crates():
        if crate.name.startswith("sluicegate-"):
            continue
        changed = [Property(name="sluicegate:changed", value="native/vendor")] if crate.ours else []
        components.append(
            Component(
                name=crate.name,
                version=crate.version,
                bom_ref=f"cargo:{crate.name}@{crate.version}",
                purl=PackageURL("cargo", None, crate.name, crate.version),
                licenses=[make.make_from_string(crate.licence)] if crate.licence else [],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=crate.sha256)] if crate.sha256 else [],
                properties=changed,
            )
        )
    for package in packages():
        asked = [Property(name="sluicegate:requirement", value=package.asked)] if package.asked else []
        components.append(
            Component(
                name=package.name,
                version=package.version,
                bom_ref=f"pypi:{package.name}@{package.version}",
                purl=PackageURL("pypi", None, package.name, package.version),
                scope=ComponentScope.OPTIONAL if package.extra else ComponentScope.REQUIRED,
                licenses=[make.make_from_string(package.licence)] if package.licence else [],
                properties=asked,
            )
        )
    made_of = "\n".join(sorted(str(item.bom_ref) for item in components))
    result = Bom(components=components, serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"sluicegate {number}\n{made_of}"))
    result.metadata.component = root
    result.metadata.timestamp = _time_of_the_commit()
    result.register_dependency(root, components)
    return str(JsonV1Dot6(result).output_as_string(indent=2)) + "\n"


def _time_of_the_commit() -> datetime:
    command = ["git", "log", "-1", "--format=%ct"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return datetime.fromtimestamp(int(said), UTC)


def main(arguments: Sequence[str]) -> int:
    [path] = arguments
    try:
        Path(path).write_text(bill())
    except BillError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
