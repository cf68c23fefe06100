"""Build the documentation of each release beside that of the tree: `build/site/v0.1/`, of the newest `v0.1.*`.

`make site` has built the tree's before, which is the root of what is published. A release is built of what its tag has,
with the generator that is installed: what that would warn of is not mended by a new build, so it is not strict here.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Where the site is, below the folder with its configuration.
SITE = Path("build") / "site"
PARTS = ("mkdocs.yml", "docs")
_RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_ADDRESS = re.compile(r"^(site_url: .*[^/\n])/?$", re.MULTILINE)


def newest(tags: Iterable[str]) -> dict[str, str]:
    """The newest release of each minor version, by the name of its folder; other tags count for nothing."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for tag in tags:
        if release := _RELEASE.fullmatch(tag):
            major, minor, patch = map(int, release.groups())
            found[major, minor] = max(found.get((major, minor), (-1, "")), (patch, tag))
    return {f"v{major}.{minor}": tag for (major, minor), (_, tag) in sorted(found.items())}


def build(repository: Path, tag: str, folder: str, target: Path) -> None:
    """Build the documentation of a tag into a folder of the site.

    Args:
        repository: has the tag.
        tag: of a release.
        folder: name below the site.
        target: the site.
    """
    packed = subprocess.run(["git", "archive", tag, *PARTS], cwd=repository, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(place, filter="data")
        configuration = place / "mkdocs.yml"
        configuration.write_text(_ADDRESS.sub(rf"\1/{folder}/", configuration.read_text()))
        zensical = Path(sys.executable).with_name("zensical")
        subprocess.run([zensical, "build", "--clean"], cwd=place, check=True)
        shutil.rmtree(target / folder, ignore_errors=True)
        shutil.copytree(place / SITE, target / folder)


def main() -> int:
    tags = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for folder, tag in newest(tags).items():
        build(ROOT, tag, folder, ROOT / SITE)
        print(f"{folder}: {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
