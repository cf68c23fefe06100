#!/usr/bin/env python3
"""Holds the layers of the data plane: a folder of `native/core/src` uses only those below it, no files go in circles.

Run by `make check`. The compiler holds the order of crates; within a crate nothing else does. What a module hands on
(`pub use`) is of the file that has it.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

NATIVE = Path(__file__).parent.parent / "native"
#: The crate that has layers, and other people's code.
LAYERED, VENDORED = "core", "vendor"

#: From the top: each may use those below it.
LAYERS = (
    "runtime",
    "downstream",
    "request",
    "dispatch",
    "l4",
    "message",
    "worker",
    "upstream",
    "policy",
    "tls",
    "telemetry",
    "observe",
    "io",
    "protobuf",
    "by_uid",
    "settings",
    "error",
)

USE = re.compile(r"\b(crate|super)((?:::\w+)*)(::\{[^;]*\})?")
#: What a module hands on.
PUBLIC_USE = re.compile(r"\bpub(?:\([^)]*\))?\s+use\s+(\w+)([^;]*);")
#: What is there for tests alone: the module at a file's end, one in a file of its own, what is handed on.
TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod \w+ \{.*", re.DOTALL)
TESTED = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?(?:mod (\w+)|use [^;]*);")

Module = tuple[str, ...]


def without_tests(text: str) -> str:
    """Code alone: a test may set up whatever it needs."""
    text = TESTED.sub("", TESTS.sub("", text))
    return "\n".join(line.split("//", 1)[0] for line in text.splitlines())


def leaves(tree: str) -> Iterator[tuple[Module, str]]:
    """The paths of `a::{b, c::{d as e}}`, each with the name that it has from there on."""
    head, brace, rest = tree.partition("{")
    if not brace:
        path, _, alias = tree.partition(" as ")
        parts = tuple(part for part in path.strip().split("::") if part)
        yield parts, alias.strip() or (parts[-1] if parts else "")
        return
    prefix = tuple(part for part in head.strip().split("::") if part)
    depth, start = 0, 0
    inner = rest[: rest.rindex("}")]
    for place, character in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            for leaf, name in leaves(inner[start:place]):
                yield prefix + leaf, name
            start = place + 1


def absolute(here: Module, root: str, parts: Iterable[str]) -> Module:
    """What a path means that a module names: from its crate, from the module around it, or from within."""
    base, rest = {"crate": (), "super": here[:-1], "self": here}.get(root, (*here, root)), list(parts)
    while rest and rest[0] == "super":
        base, rest = base[:-1], rest[1:]
    return (*base, *rest)


class Crate:
    """The modules of a crate, by their files."""

    def __init__(self, source: Path) -> None:
        self.name = source.parent.name
        texts = {self._module(path.relative_to(source)): path.read_text() for path in sorted(source.rglob("*.rs"))}
        tests = {(*module, name) for module, text in texts.items() for name in TESTED.findall(text) if name}
        #: Without what is there for tests.
        self.code = {
            module: without_tests(text)
            for module, text in texts.items()
            if not any(module[: len(test)] == test for test in tests)
        }
        self.handed_on = dict(self._handed_on())

    def _module(self, path: Path) -> Module:
        parts = path.with_suffix("").parts
        return parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts

    def _handed_on(self) -> Iterator[tuple[Module, Module]]:
        for module, text in self.code.items():
            for root, tree in PUBLIC_USE.findall(text):
                for leaf, name in leaves(tree.removeprefix("::")):
                    what = absolute(module, root, leaf)
                    # What is within a module of its own name is no other one.
                    if what[: len(module) + 1] != (*module, name or root):
                        yield (*module, name or root), what

    def file_of(self, used: Module) -> Module:
        """The module whose file has what is named, wherever it was handed on."""
        # As many steps as a chain of `pub use` may have; two that hand on each other would go on for ever.
        for _ in range(16):
            step = next((used[:size] for size in range(1, len(used) + 1) if used[:size] in self.handed_on), None)
            if step is None:
                break
            used = (*self.handed_on[step], *used[len(step) :])
        return next((used[:size] for size in range(len(used), 0, -1) if used[:size] in self.code), ())

    def uses(self, module: Module) -> set[Module]:
        """The files of this crate that one names."""
        named = (
            absolute(module, root, leaf)
            for root, middle, tree in USE.findall(self.code[module])
            for leaf, _ in leaves(middle.removeprefix("::") + tree)
        )
        return {self.file_of(used) for used in named} - {(), module}


def main() -> int:
    """Print what breaks the order; 1 where something does."""
    crates = [Crate(source) for source in sorted(NATIVE.glob("*/src")) if source.parent.name != VENDORED]
    wrong = [said for crate in crates for said in (*layers_of(crate), *circles_of(crate))]
    files = sum(len(crate.code) for crate in crates)
    print("\n".join(sorted(set(wrong))) or f"{files} files in {len(crates)} crates, {len(LAYERS)} layers, no circle")
    return 1 if wrong else 0


def layers_of(crate: Crate) -> Iterator[str]:
    """What stands in no layer of the crate that has them, or uses one above its own."""
    for module in crate.code if crate.name == LAYERED else ():
        if not module:
            continue
        if module[0] not in LAYERS:
            yield f"{'/'.join(module)}.rs: the folder {module[0]} has no place in LAYERS"
            continue
        for used in crate.uses(module):
            if used[0] in LAYERS and LAYERS.index(used[0]) < LAYERS.index(module[0]):
                yield f"{'/'.join(module)}.rs: {module[0]} is below {used[0]} and uses {'::'.join(used)}"


def circles_of(crate: Crate) -> Iterator[str]:
    """The circles of a crate. A module and those inside it are one thing in parts."""
    graph = {
        module: {used for used in crate.uses(module) if used[: len(module)] != module and module[: len(used)] != used}
        for module in crate.code
    }
    for circle in circles(graph):
        yield f"a circle in {crate.name}: {' -> '.join('::'.join(module) for module in circle)}"


def circles(graph: dict[Module, set[Module]]) -> Iterator[list[Module]]:
    """The ways that lead back to where they began, each once."""
    done: set[Module] = set()

    def follow(module: Module, way: list[Module]) -> Iterator[list[Module]]:
        if module in way:
            yield [*way[way.index(module) :], module]
            return
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            yield from follow(target, [*way, module])
        done.add(module)

    for module in sorted(graph):
        yield from follow(module, [])


if __name__ == "__main__":
    sys.exit(main())
