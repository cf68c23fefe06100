#!/usr/bin/env python3
"""Holds the layers of the data plane: a folder of `native/core/src` uses only those below it, no files go in circles.

Run by `make check`. The compiler holds the order of crates; within a crate nothing else does.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "native" / "core" / "src"

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
    "observe",
    "io",
    "by_uid",
    "settings",
    "error",
)

USE = re.compile(r"\b(crate|super)((?:::\w+)*)(::\{[^;]*\})?")


def module_of(path: Path) -> tuple[str, ...]:
    """The module that a file is, as its path's parts."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def without_tests(text: str) -> str:
    """Code alone: a test may set up whatever it needs."""
    text = text.split("#[cfg(test)]\nmod tests", 1)[0]
    return "\n".join(line.split("//", 1)[0] for line in text.splitlines())


def leaves(tree: str) -> Iterator[tuple[str, ...]]:
    """The paths of `a::{b, c::{d, e}}`."""
    head, brace, rest = tree.partition("{")
    if not brace:
        yield tuple(part for part in tree.split(" as ", maxsplit=1)[0].strip().split("::") if part)
        return
    prefix = tuple(part for part in head.strip().split("::") if part)
    depth, start = 0, 0
    inner = rest[: rest.rindex("}")]
    for place, character in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            for leaf in leaves(inner[start:place]):
                yield prefix + leaf
            start = place + 1


def uses(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules and items of this crate that a file names, as absolute paths."""
    here = module_of(path)
    for found in USE.finditer(without_tests(path.read_text())):
        root, middle, tree = found.groups()
        for leaf in leaves(middle.removeprefix("::") + (tree or "")):
            base = () if root == "crate" else here[:-1]
            parts = list(leaf)
            while parts and parts[0] == "super":
                base, parts = base[:-1], parts[1:]
            yield (*base, *parts)


def main() -> int:
    """Print what breaks the order; 1 where something does."""
    files = {module_of(path): path for path in SOURCE.rglob("*.rs")}
    wrong = []
    graph: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for module, path in files.items():
        if not module:
            continue
        if module[0] not in LAYERS:
            wrong.append(f"{path.relative_to(SOURCE)}: the folder {module[0]} has no place in LAYERS")
            continue
        for used in uses(path):
            if not used or used[0] not in LAYERS:
                continue
            if LAYERS.index(used[0]) < LAYERS.index(module[0]):
                wrong.append(f"{path.relative_to(SOURCE)}: {module[0]} is below {used[0]} and uses {'::'.join(used)}")
            target = next((used[:size] for size in range(len(used), 0, -1) if used[:size] in files), None)
            # A module and those inside it are one thing in parts.
            if target and target != module and target[: len(module)] != module and module[: len(target)] != target:
                graph[module].add(target)
    wrong += [f"a circle: {' -> '.join('::'.join(module) for module in circle)}" for circle in circles(graph)]
    print("\n".join(sorted(set(wrong))) or f"{len(files)} files in {len(LAYERS)} layers, no circle")
    return 1 if wrong else 0


def circles(graph: dict[tuple[str, ...], set[tuple[str, ...]]]) -> Iterator[list[tuple[str, ...]]]:
    """The ways that lead back to where they began, each once."""
    done: set[tuple[str, ...]] = set()

    def follow(module: tuple[str, ...], way: list[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
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
