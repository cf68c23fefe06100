"""What is published with a tag, made here: a dry run of the release, and what the workflow publishes.

    python tools/release.py FOLDER

FOLDER has the wheels and the sdist (`make release` puts them there). Beside them are made: the Helm chart,
`install.yaml`, the bill of materials, the changes of this version, and SHA256SUMS of all. Every file of the folder is
published, so a file that is none of these ends it with status 1.

RELEASE_IMAGE is the image that chart and manifests name (else the one that the workflow publishes), RELEASE_TAG the
tag, which has to be that of the version.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import release_version
from bill_of_materials import BillError, bill
from deploy_tools import DeployToolError, kustomize_documents, program

ROOT = Path(__file__).parents[1]
IMAGE = "ghcr.io/sluicegate/sluicegate"
MANIFESTS, NOTES, SUMS = "install.yaml", "NOTES.md", "SHA256SUMS"
#: What the tree names, which no registry has.
UNPUBLISHED = "sluicegate"
#: Seconds for a tool.
LIMIT = 300


class ReleaseError(RuntimeError):
    """The release cannot be made; the message has a line for each thing that is wrong, with what to do."""


def names(version: str) -> dict[str, str]:
    """What is made, by what it is."""
    return {
        "chart": f"sluicegate-{version}.tgz",
        "manifests": MANIFESTS,
        "bill": f"sluicegate-{version}.cdx.json",
        "notes": NOTES,
        "sums": SUMS,
    }


def distributions(folder: Path, version: str) -> list[Path]:
    """Return the wheels and the sdist of a version.

    Raises:
        ReleaseError: there are none, or there is a file that is not to be published.
    """
    wheels = sorted(folder.glob(f"sluicegate-{version}-cp*-abi3-*.whl"))
    sdist = folder / f"sluicegate-{version}.tar.gz"
    wrong = [] if wheels else [f"{folder}: no wheel of {version}; run: make release"]
    if not sdist.exists():
        wrong.append(f"{sdist}: is not there; run: make release")
    known = {*wheels, sdist, *(folder / name for name in names(version).values())}
    strange = sorted({*folder.iterdir()} - known)
    wrong += [
        f"{path}: is no file of the release {version}; remove it: all of the folder is published" for path in strange
    ]
    if wrong:
        raise ReleaseError("\n".join(wrong))
    return [*wheels, sdist]


def check_distributions(paths: Sequence[Path]) -> None:
    """Whether the index would take them.

    Raises:
        ReleaseError: it would not.
    """
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, paths)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    if result.returncode:
        raise ReleaseError(f"twine check --strict: {result.stdout}{result.stderr}")


def write_chart(folder: Path, image: str) -> None:
    """Package the chart with the image that is published.

    Raises:
        ReleaseError: its values do not name the image of the tree once.
        DeployToolError: there is no Helm.
        subprocess.SubprocessError: Helm refuses it.
    """
    with tempfile.TemporaryDirectory() as name:
        chart = Path(name) / "sluicegate"
        # Its CRDs are links in the tree, and files in the package.
        shutil.copytree(ROOT / "deploy" / "chart", chart)
        for file, before, after in (
            ("values.yaml", f"\n  repository: {UNPUBLISHED}\n", f"\n  repository: {image}\n"),
            ("README.md", f'| `image.repository` | `"{UNPUBLISHED}"` |', f'| `image.repository` | `"{image}"` |'),
        ):
            path = chart / file
            text = path.read_text()
            if text.count(before) != 1:
                raise ReleaseError(
                    f"deploy/chart/{file}: {before.strip()} is there {text.count(before)} times, not once"
                )
            path.write_text(text.replace(before, after))
        command = [program("helm"), "package", str(chart), "--destination", str(folder)]
        subprocess.run(command, check=True, timeout=LIMIT, capture_output=True)


def write_manifests(folder: Path, image: str, version: str) -> None:
    """Write what the kustomization of the controller installs, with the image that is published.

    Raises:
        ReleaseError: the manifests do not name the image of the tree.
        DeployToolError: kustomize refuses it, or is not there.
    """
    text = kustomize_documents(ROOT / "deploy" / "controller")
    text, count = re.subn(
        rf"(?m)^(\s+(?:- )?(?:image|value): ){UNPUBLISHED}:{re.escape(version)}$", rf"\g<1>{image}:{version}", text
    )
    # The controller's own, and that of the data planes.
    if count != 2:
        raise ReleaseError(f"deploy/controller: the image {UNPUBLISHED}:{version} is there {count} times, not twice")
    head = f"# Sluicegate {version}: kubectl apply --server-side -f {MANIFESTS}\n# The Gateway API's CRDs come first.\n"
    (folder / MANIFESTS).write_text(head + text)


def changes(version: str) -> str:
    """Return what CHANGELOG.md says of a version.

    Raises:
        ReleaseError: nothing.
    """
    text = (ROOT / release_version.CHANGES).read_text()
    found = re.search(rf"^## \[{re.escape(version)}\].*\n((?:(?!## \[|\[\d).*\n)*)", text, re.MULTILINE)
    if found is None or not found[1].strip():
        raise ReleaseError(f"{release_version.CHANGES}: says nothing of {version}; write what users notice")
    return found[1].strip() + "\n"


def sums(folder: Path) -> str:
    """Return SHA-256 and name of every file, as `sha256sum --check` takes them."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def release(folder: Path, image: str, tag: str) -> None:
    """Make all files of the release in a folder that has its distributions.

    Raises:
        ReleaseError, BillError, DeployToolError, release_version.VersionError: why it cannot be made.
        subprocess.SubprocessError: a tool fails.
    """
    version = release_version.version()
    wrong = release_version.disagreements(ROOT, release_version.tracked(ROOT))
    wrong += release_version.wrong_for_a_tag(ROOT, tag) if tag else []
    if wrong:
        raise ReleaseError("\n".join(wrong))
    check_distributions(distributions(folder, version))
    write_chart(folder, image)
    write_manifests(folder, image, version)
    (folder / names(version)["bill"]).write_text(bill())
    (folder / NOTES).write_text(changes(version))
    (folder / SUMS).write_text(sums(folder))


def main(arguments: Sequence[str]) -> int:
    [name] = arguments
    folder = Path(name)
    try:
        release(folder, os.environ.get("RELEASE_IMAGE") or IMAGE, os.environ.get("RELEASE_TAG", ""))
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}\n{(error.stderr or b'').decode()}\n")
        return 1
    except (ReleaseError, BillError, DeployToolError, release_version.VersionError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size / 1024:10.1f} KiB  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
