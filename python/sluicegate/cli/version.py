"""`sluicegate version`."""

from __future__ import annotations

import argparse
import sys

import msgspec

from sluicegate import __version__

from .exit_status import ExitStatus
from .options import Command
from .output import OUTPUT, write_json


class VersionReport(msgspec.Struct, frozen=True, tag_field="format", tag="sluicegate.dev/version/v1"):
    """What `--output json` writes.

    Attributes:
        version: of the program.
    """

    version: str


def _run(given: argparse.Namespace) -> int:
    if given.output == "json":
        write_json(VersionReport(version=__version__))
    else:
        sys.stdout.write(f"{__version__}\n")
    return ExitStatus.OK


COMMAND = Command(
    name="version",
    description="Print the version.",
    run=_run,
    options=(OUTPUT,),
    examples=(("sluicegate version --output json", "for programs"),),
)
