"""The distributions of this tree, made once for all tests: building a wheel takes minutes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[2]
LIMIT = 900


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made from the sdist alone; or those of the folder that TEST_RELEASE names."""
    given = os.environ.get("TEST_RELEASE")
    if given:
        return distributions(ROOT / given)
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "built.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        dist = folder / "built"
        if not dist.exists():
            unfinished = folder / "building"
            build(unfinished, folder / "source")
            unfinished.rename(dist)
    return distributions(dist)


def build(dist: Path, source: Path) -> None:
    maturin = Path(sys.executable).with_name("maturin")
    subprocess.run([maturin, "sdist", "--out", dist], cwd=ROOT, check=True, timeout=LIMIT)
    [sdist] = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    [unpacked] = source.iterdir()
    # Not optimised: what is tested is what is in the wheel, not how fast it is. What the tests of Rust compiled is used
    # again.
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target"), **os.environ}
    command = [maturin, "build", "--profile", "dev", "--out", dist, "--interpreter", sys.executable]
    subprocess.run(command, cwd=unpacked, env=environment, check=True, timeout=LIMIT)


def distributions(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel for this machine: a release has wheels for others too."""
    [sdist] = folder.glob("*.tar.gz")
    here = set(sys_tags())
    [wheel] = [path for path in folder.glob("*.whl") if here & parse_wheel_filename(path.name)[3]]
    return sdist, wheel
