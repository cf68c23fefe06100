"""Files of other programs that lie beside manifests: told for what they are, and left aside."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...api import Diagnostic

#: What a file of a name is, where what it says has neither `apiVersion` nor `kind` of an object.
_NAMES = (
    (re.compile(r"values([-._].*)?\.(yaml|yml)"), "values of a Helm chart"),
    (re.compile(r"chart\.(yaml|yml|lock)"), "the description of a Helm chart"),
    (re.compile(r"(docker-)?compose([-._].*)?\.(yaml|yml)"), "a Compose file"),
    (re.compile(r"package(-lock)?\.json"), "a file of npm"),
    (re.compile(r"(tsconfig|composer|renovate)([-._].*)?\.json"), "a file of a program that builds or updates others"),
    (re.compile(r"\w+\.schema\.json"), "a JSON Schema"),
)
_RENDER = "give what `helm template` makes of the chart"

#: The beginning of a template, of Helm or another program.
TEMPLATE = re.compile(r"\{\{")


def other_file(path: str, data: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Say what a document without a kind is; nothing where nobody can tell.

    Args:
        path: of its file.
        data: the document.
    """
    if "kind" in data:
        return
    name = os.path.basename(path).lower()
    what = next((text for pattern, text in _NAMES if pattern.fullmatch(name)), None)
    if what is not None:
        remedy = _RENDER if "Helm" in what else "move it away, or give the manifests alone"
        message = f"{what}, and no manifest: nothing of it is read"
        yield Diagnostic(severity="warning", code="other-file", message=message, remedy=remedy)
