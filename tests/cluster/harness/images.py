"""Container images without a daemon: one layer as a docker archive."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path


def pack(
    out: Path, tags: Sequence[str], files: Sequence[tuple[Path, str]], entrypoint: Sequence[str], user: str = "0"
) -> None:
    """Write an image.

    Args:
        out: the archive.
        tags: names of the image.
        files: source, and path in the image.
        entrypoint: what it runs.
        user: that it runs as.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for source, path in files:
            information = archive.gettarinfo(os.path.realpath(source), arcname=path.lstrip("/"))
            information.uid = information.gid = information.mtime = 0
            information.uname = information.gname = ""
            information.mode = 0o755
            with source.open("rb") as content:
                archive.addfile(information, content)
    data = layer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "User": user},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": list(tags), "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        for path, content in ((name, configuration), (f"{digest}/layer.tar", data), ("manifest.json", manifest)):
            information = tarfile.TarInfo(path)
            information.size = len(content)
            archive.addfile(information, io.BytesIO(content))
