"""Container images without a daemon: layers and a configuration as a docker archive."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def pack(
    out: Path, tags: Sequence[str], files: Sequence[tuple[Path, str]], entrypoint: Sequence[str], user: str = "0"
) -> None:
    """Write an image of one layer.

    Args:
        out: the archive.
        tags: names of the image.
        files: source, and path in the image.
        entrypoint: what it runs.
        user: that it runs as.
    """
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.tar"
        with tarfile.open(layer, mode="w") as archive:
            for source, path in files:
                information = archive.gettarinfo(os.path.realpath(source), arcname=path.lstrip("/"))
                information.uid = information.gid = information.mtime = 0
                information.uname = information.gname = ""
                information.mode = 0o755
                with source.open("rb") as content:
                    archive.addfile(information, content)
        assemble(out, tags, [layer], {"Entrypoint": list(entrypoint), "User": user})


def assemble(out: Path, tags: Sequence[str], layers: Sequence[Path], settings: Mapping[str, Any]) -> None:
    """Write an image.

    Args:
        out: the archive.
        tags: names of the image.
        layers: tar archives, the lowest first.
        settings: `Entrypoint`, `Env`, `User` and so on.
    """
    digests = [_digest(layer) for layer in layers]
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
    manifest = json.dumps([{"Config": name, "RepoTags": list(tags), "Layers": places}]).encode()
    with tarfile.open(out, "w") as archive:
        for path, content in ((name, configuration), ("manifest.json", manifest)):
            information = tarfile.TarInfo(path)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
        for place, layer in zip(places, layers, strict=True):
            archive.add(layer, arcname=place)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
