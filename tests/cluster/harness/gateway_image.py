"""The image of deploy/Containerfile for the test cluster, without a daemon: Debian's Python and the installed wheel.

Needs mmdebstrap (Debian). The base is made once and kept; the wheel is what `maturin build` makes of the tree.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .paths import STATE

ROOT = Path(__file__).parents[3]
PACKAGES = "python3,ca-certificates"
PLACE = "opt/sluicegate"


def build(tag: str) -> Path:
    """Build the image; returns the archive that `load` takes."""
    base = STATE / "python-base.tar"
    if not base.exists():
        command = ["mmdebstrap", "--variant=essential", f"--include={PACKAGES}", "bookworm", str(base)]
        subprocess.run(command, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maturin = Path(sys.executable).with_name("maturin")
        subprocess.run([maturin, "build", "--release", "--out", folder / "dist"], cwd=ROOT, check=True)
        [wheel] = (folder / "dist").glob("*.whl")
        target = folder / PLACE
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", target, f"{wheel}[kubernetes]"]
        subprocess.run(install, check=True)
        layer = folder / "layer.tar"
        with tarfile.open(layer, "w") as archive:
            archive.add(target, arcname=PLACE, filter=_as_root)
        out = STATE / "sluicegate.tar"
        _pack(out, tag, [base, layer])
    return out


def _as_root(information: tarfile.TarInfo) -> tarfile.TarInfo:
    information.uid = information.gid = 0
    information.uname = information.gname = "root"
    return information


def _pack(out: Path, tag: str, layers: list[Path]) -> None:
    digests = [hashlib.sha256(layer.read_bytes()).hexdigest() for layer in layers]
    settings = {
        "Entrypoint": ["/usr/bin/python3", "-m", "sluicegate"],
        "Env": [f"PYTHONPATH=/{PLACE}", "PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"],
        "User": "65532:65532",
    }
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    places = [f"{digest}/layer.tar" for digest in digests]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": places}]).encode()
    with tarfile.open(out, "w") as archive:
        for path, content in ((name, configuration), ("manifest.json", manifest)):
            information = tarfile.TarInfo(path)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
        for place, layer in zip(places, layers, strict=True):
            archive.add(layer, arcname=place)
