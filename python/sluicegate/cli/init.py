"""`sluicegate init DIR`: a small shop to begin with, with TLS and tests."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .editor_schema import MODELINE, editor_schema
from .exit_status import ExitStatus
from .options import Command
from .output import OUTPUT, write_json
from .roles import refuse

#: The shop, in the package.
SHOP = Path(__file__).with_name("shop")
#: What the certificate is for. Browsers and curl know that `.localhost` is this machine (RFC 6761 section 6.3).
NAMES = ("shop.localhost", "*.shop.localhost")

_NAMES = {"gitignore": ".gitignore", "tests/test_routes.py.in": "tests/test_routes.py"}

_CERTIFICATE = """\
# Made by `sluicegate init`, signed by itself: for this machine. Renew it by `sluicegate init` in another folder.
apiVersion: v1
kind: Secret
metadata:
  name: shop-certificate
type: kubernetes.io/tls
stringData:
"""


#: What editors read of manifests; hidden, so that nobody takes it for one (`check .`).
_SCHEMA = ".schema.json"


class InitReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/init/v1"):
    """What `--output json` writes.

    Attributes:
        folder: that was given.
        files: that were written, as paths in it.
    """

    folder: str
    files: tuple[str, ...]


def _run(given: argparse.Namespace) -> int:
    if len(given.paths) != 1:
        return refuse("name one folder, such as: sluicegate init shop")
    folder = Path(given.paths[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            return refuse(f"{folder} is not empty: nothing is written where there is something; name another folder")
        files = tuple(_write(folder))
    except OSError as error:
        return refuse(f"{error.filename or folder}: {error.strerror}")
    if given.output == "json":
        write_json(InitReport(folder=str(folder), files=files))
        return ExitStatus.OK
    for name in files:
        sys.stdout.write(f"{folder / name}\n")
    sys.stdout.write(f"Try: cd {folder} && sluicegate check manifests && sluicegate demo manifests\n")
    return ExitStatus.OK


def _write(folder: Path) -> Iterator[str]:
    """Write all files; gives their names."""
    sources = sorted(path for path in SHOP.rglob("*") if path.is_file())
    for source in sources:
        name = source.relative_to(SHOP)
        # Under their own names they would hold for the package.
        target = folder / _NAMES.get(str(name), name)
        target.parent.mkdir(exist_ok=True)
        content = source.read_bytes()
        target.write_bytes(_with_schema(content) if target.suffix == ".yaml" else content)
        yield str(target.relative_to(folder))
    (folder / _SCHEMA).write_bytes(msgspec.json.encode(editor_schema()))
    yield _SCHEMA
    yield _write_certificate(folder)


def _with_schema(manifests: bytes) -> bytes:
    """Manifests of which each document tells editors what may be in it: a line in the first holds for no other."""
    line = MODELINE.format(path=f"../{_SCHEMA}").encode()
    return line + manifests.replace(b"\n---\n", b"\n---\n" + line)


def _write_certificate(folder: Path) -> str:
    from sluicegate.engine import native

    certificate, key = native.self_signed(NAMES)
    blocks = ((name, text.splitlines()) for name, text in (("tls.crt", certificate), ("tls.key", key)))
    text = "".join(f"  {name}: |\n" + "".join(f"    {line}\n" for line in lines) for name, lines in blocks)
    path = folder / "manifests" / "certificate.yaml"
    # Nobody else reads the key, from the first moment on.
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(_with_schema((_CERTIFICATE + text).encode()).decode())
    return str(path.relative_to(folder))


COMMAND = Command(
    name="init",
    description="Write a small shop into an empty folder: TLS, a redirect, a canary, a header route, gRPC, and tests.",
    run=_run,
    paths="Folder; it is made where it is not there, and has to be empty.",
    metavar="FOLDER",
    options=(OUTPUT,),
    examples=(("sluicegate init shop && sluicegate demo shop/manifests", "and a curl line for each listener"),),
)
