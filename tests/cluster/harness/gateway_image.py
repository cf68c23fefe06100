"""The image of deploy/Containerfile for the test cluster, without a daemon: Debian's Python and the installed wheel.

Three layers, each kept until what it is made of changes: Debian's base with Python (mmdebstrap, about 20 s), the
dependencies that pyproject.toml names (about 15 s), and Sluicegate (about a second). Bytecode is made by the image's
own Python, whatever Python runs this.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

from .images import assemble
from .paths import IMAGES, STATE

ROOT = Path(__file__).parents[3]
TAG = "sluicegate:0.1.0"
SUITE, PYTHON = "bookworm", "3.11"
#: grpcio needs libstdc++.
PACKAGES = "python3,ca-certificates,libstdc++6"
#: What no program reads.
UNWANTED = ("doc", "man", "locale", "info", "i18n")
#: Where the packages are in the image.
PLACE = "opt/sluicegate"
LAYERS = STATE / "layers"
#: The unpacked base, in which its Python makes bytecode.
ROOT_FILE_SYSTEM = LAYERS / "base"
SETTINGS = {
    "Entrypoint": ["/usr/bin/python3", "-m", "sluicegate"],
    "Env": [f"PYTHONPATH=/{PLACE}", "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1"],
    "User": "65532:65532",
}


def build(tag: str = TAG, *, tree: bool = False) -> Path:
    """Build the image; returns the archive that `load` takes.

    Args:
        tag: name of the image.
        tree: take Python and the native library as they are in the tree, instead of building a wheel of it.
    """
    LAYERS.mkdir(parents=True, exist_ok=True)
    base = _layer("base", f"{SUITE} {PACKAGES} {UNWANTED}", _base)
    wanted = _requirements()
    dependencies = _layer("dependencies", " ".join([*wanted, base.name]), lambda out: _dependencies(wanted, out))
    with tempfile.TemporaryDirectory() as name:
        package = Path(name)
        if tree:
            _from_tree(package)
        else:
            _from_wheel(package)
        own = LAYERS / "sluicegate.tar"
        _pack(package, own)
    IMAGES.mkdir(parents=True, exist_ok=True)
    out = STATE / "sluicegate.tar"
    assemble(out, [tag], [base, dependencies, own], SETTINGS)
    return out


def _layer(name: str, made_of: str, make: Callable[[Path], None]) -> Path:
    """The layer made of this; an older one goes."""
    out = LAYERS / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.tar"
    if not out.exists():
        for old in LAYERS.glob(f"{name}-*.tar"):
            old.unlink()
        unfinished = out.with_suffix(".part")
        make(unfinished)
        unfinished.rename(out)
    return out


def _base(out: Path) -> None:
    without = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in UNWANTED]
    command = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={PACKAGES}", *without, "--format=tar"]
    subprocess.run([*command, SUITE, out], check=True)
    shutil.rmtree(ROOT_FILE_SYSTEM, ignore_errors=True)
    ROOT_FILE_SYSTEM.mkdir()
    subprocess.run(["tar", "-xf", out, "-C", ROOT_FILE_SYSTEM, "--exclude=./dev/*"], check=True)


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["kubernetes"]]


def _dependencies(wanted: list[str], out: Path) -> None:
    platforms = [f"--platform=manylinux{kind}_x86_64" for kind in ("2014", "_2_17", "_2_28", "_2_34")]
    abis = [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    with tempfile.TemporaryDirectory() as name:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", name]
        install += ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", *platforms, *abis]
        subprocess.run([*install, *wanted], check=True)
        _pack(Path(name), out)


def _from_wheel(folder: Path) -> None:
    """Build the wheel and unpack it."""
    maturin = Path(sys.executable).with_name("maturin")
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([maturin, "build", "--release", "--quiet", "--out", name], cwd=ROOT, check=True)
        [wheel] = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def _from_tree(folder: Path) -> None:
    """What the wheel would have; the version comes from the distribution that is installed here."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "python", "controller"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, parts = ROOT / name, Path(name).parts
        if not source.is_file():
            continue  # the link to `controller`, or deleted
        target = folder / ("sluicegate" if parts[0] == "controller" else "") / Path(*parts[parts[0] == "python" :])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    shutil.copy2(ROOT / "python" / "sluicegate" / "_native.abi3.so", folder / "sluicegate")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    information = folder / f"sluicegate-{version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sluicegate\nVersion: {version}\n")


def _pack(folder: Path, out: Path) -> None:
    """A layer of a folder, at its place, with bytecode; the same content makes the same bytes."""
    inside = ROOT_FILE_SYSTEM / "tmp" / "packed"
    shutil.rmtree(inside, ignore_errors=True)
    shutil.copytree(folder, inside)
    compiled = ["python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    subprocess.run(["chroot", ROOT_FILE_SYSTEM, *compiled, "-s/tmp/packed", f"-p/{PLACE}", "/tmp/packed"], check=True)
    with tarfile.open(out, "w") as archive:
        archive.add(inside, arcname=PLACE, filter=_as_root)
    shutil.rmtree(inside)


def _as_root(information: tarfile.TarInfo) -> tarfile.TarInfo:
    information.uid = information.gid = information.mtime = 0
    information.uname = information.gname = "root"
    information.mode |= 0o444 | (0o111 if information.isdir() else 0)
    return information
