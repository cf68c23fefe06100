"""What a reader copies out of a page works: an API server takes the manifests, commands have their options."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import sluicegate
from sluicegate.cli import application

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md"), *ROOT.glob("*.md")]
#: Problems of a manifest that stands alone, and not beside what it refers to, or what allows it.
ALONE = {"ref-not-permitted", "target-not-found"}
_FENCE = re.compile(r"^```yaml[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_GROUPS = re.compile(r"^apiVersion: (?:gateway\.networking\.(?:x-)?k8s\.io|sluicegate\.dev)/", re.MULTILINE)


def blocks(text: str) -> Iterator[str]:
    """Fences of YAML, and what is indented."""
    yield from _FENCE.findall(text)
    block: list[str] = []
    for line in [*_FENCE.sub("", text).splitlines(), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        elif block:
            yield textwrap.dedent("\n".join(block))
            block = []


def manifests() -> Iterator[tuple[str, str]]:
    """Blocks that are whole manifests of the Gateway API or of ours, with the page that has each."""
    for page in PAGES:
        for block in blocks(page.read_text()):
            if not _GROUPS.search(block):
                continue
            try:
                found = [item for item in yaml.safe_load_all(block) if item]
            except yaml.YAMLError:  # a command with a manifest in it
                continue
            if all(isinstance(item, dict) and "kind" in item for item in found):
                yield str(page.relative_to(ROOT)), block


WHOLE = list(manifests())


def wrong(block: str, folder: Path) -> list[str]:
    """What is wrong with a manifest by itself."""
    (folder / "copied.yaml").write_text(block)
    found = sluicegate.load(folder).problems
    return [
        item.text
        for item in found
        if (item.severity == "error" and item.code not in ALONE and "does not exist" not in item.message)
        or item.code == "unknown-field"
    ]


@pytest.mark.parametrize(("page", "block"), WHOLE, ids=[f"{page}-{index}" for index, (page, _) in enumerate(WHOLE)])
def test_manifests_are_what_an_api_server_takes(page: str, block: str, tmp_path: Path) -> None:
    assert wrong(block, tmp_path) == [], page


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    assert len(WHOLE) > 40
    [block] = [block for page, block in WHOLE if page.endswith("tasks/canary.md")]
    assert wrong(block.replace("hostnames:", "hostname:"), tmp_path)
    assert wrong(block.replace("port: 80\n", "port: eighty\n", 1), tmp_path)


def test_commands_have_the_options_that_pages_show() -> None:
    seen, missing = 0, []
    for page in PAGES:
        for found in re.finditer(r"\bsluicegate ([a-z]+)((?: [^`\n|&;]*)?)", page.read_text()):
            if found[1] not in application.COMMANDS:
                continue
            seen += 1
            flags = {flag for item in application.command(found[1]).options for flag in item.flags} | {"--help"}
            shown = re.findall(r"(?<![\w-])--[a-z][\w-]*", found[2])
            missing += [(page.name, found[0], flag) for flag in shown if flag not in flags]
    assert missing == []
    assert seen > 200
