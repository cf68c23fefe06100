"""Write `docs/library.md`: every name that `import sluicegate` offers, and what it says of itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import msgspec

import sluicegate

PAGE = Path(__file__).parents[1] / "docs" / "library.md"

_HEAD = """\
# The library

What `import sluicegate` offers to other programs: it answers what the gateway would do with a request, without serving
anything. [testing-routes.md](testing-routes.md) has a project that uses it with pytest. What is not here is not for
others, and may change with every version.

This page is written by `python tools/library_page.py` from the code.
"""
#: Names that are no classes or functions: what they are.
_ALIASES = {
    "Code": "The word for programs of a `Diagnostic`; [diagnostics.md](diagnostics.md) has what each means.",
    "Headers": "Fields of a request: a mapping of names to values, or pairs in order.",
    "Outcome": "What becomes of a request or a connection.",
    "PathNormalization": "What happens to the path of a request before rules see it ([settings.md](settings.md)).",
    "Proof": "How somebody may have proved who they are.",
    "Reason": 'Why a `Decision` is as it is; ARCHITECTURE.md, "The `decide` contract", says when each is given.',
    "Severity": "How grave a `Diagnostic` is.",
    "__version__": "The version of the package, such as `0.1.0`.",
}


def page() -> str:
    """The page as it should be."""
    return "\n".join([_HEAD, *(_section(name) for name in sorted(sluicegate.__all__, key=str.lower))])


def _section(name: str) -> str:
    item = getattr(sluicegate, name)
    lines = [f"## `{name}`", ""]
    if name in _ALIASES:
        lines += [_ALIASES[name], ""]
        values = get_args(item) if all(isinstance(value, str) for value in get_args(item)) else ()
        lines += [f"One of {', '.join(f'`{value}`' for value in values)}.", ""] if values and name != "Code" else []
    elif isinstance(item, type) and issubclass(item, msgspec.Struct):
        lines += list(_struct(item))
    elif isinstance(item, type):
        lines += [*_text(item), *(line for member in members(item) for line in _member(item, member))]
    else:
        lines += [f"    {name}{_signature(item)}", "", *_text(item)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def members(item: type) -> list[str]:
    """Public methods and properties that a class defines itself."""
    return [name for name, value in vars(item).items() if not name.startswith("_") and _is_member(value)]


def _is_member(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, property)


def _struct(item: type[msgspec.Struct]) -> Iterator[str]:
    summary, _, attributes = inspect.getdoc(item).partition("Attributes:\n")  # type: ignore[union-attr]
    yield from (" ".join(part.split()) + "\n" for part in summary.strip().split("\n\n"))
    yield "| attribute | type | |"
    yield "|---|---|---|"
    said = dict(re.findall(r"^ {4}(\w+): ((?:.+\n?)(?:^ {8}.+\n?)*)", attributes, re.MULTILINE))
    for field in item.__struct_fields__:
        kind = str(inspect.get_annotations(item)[field]).replace("|", "\\|")
        yield f"| `{field}` | `{kind}` | {' '.join(said[field].split())} |"
    for name in members(item):
        yield ""
        yield from _member(item, name)


def _member(item: type, name: str) -> Iterator[str]:
    value = inspect.getattr_static(item, name)
    function = value.fget if isinstance(value, property) else value
    yield f"### `{item.__name__}.{name}`"
    yield ""
    if not isinstance(value, property):
        yield f"    {name}{_signature(function)}"
        yield ""
    yield from _text(value)


def _signature(function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    parameters = [item for item in signature.parameters.values() if item.name != "self"]
    return str(signature.replace(parameters=parameters)).replace("'", "")


def _text(item: object) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, and lists for arguments and errors."""
    for part in (inspect.getdoc(item) or "").split("\n\n"):
        head, _, rest = part.partition("\n")
        if head in {"Args:", "Raises:", "Returns:"}:
            yield f"{head.removesuffix(':').replace('Args', 'Arguments')}:"
            yield ""
            yield from (f"- {' '.join(found.split())}" for found in re.split(r"\n(?= {4}\S)", rest))
        else:
            yield part
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
