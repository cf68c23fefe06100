"""A graph as Mermaid text, as code hosts draw it in Markdown.

Names of nodes are numbers; all that authors of objects wrote stands in quoted labels, in which every character that
means something to Mermaid, to HTML or to Markdown is an entity (`#35;`): nothing of it is ever syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sluicegate.words import one_line

from .graph_model import Graph, Node
from .graph_text import cut, wrapped

#: What may mean something somewhere; a broken surrogate is nothing that a file has a form for.
_MEANING = re.compile(r"[^\w ./:,=()→…✗-]|_")
#: Words at which Mermaid takes lines apart before it reads them.
_WORDS = re.compile(r"style|classDef", re.IGNORECASE)
_SHAPES = {
    "gateway": '("{}")',
    "listenerset": '("{}")',
    "listener": '["{}"]',
    "route": '["{}"]',
    "backend": '[("{}")]',
    "policy": '{{{{"{}"}}}}',
}
_CLASSES = {
    "bad": "stroke:#c62828,stroke-width:3px",
    "gateway": "fill:#e3f2fd,color:#111",
    "listenerset": "fill:#e3f2fd,color:#111",
    "listener": "fill:#e8eaf6,color:#111",
    "route": "fill:#e8f5e9,color:#111",
    "backend": "fill:#fff8e1,color:#111",
    "policy": "fill:#f3e5f5,color:#111",
}


def mermaid(graph: Graph) -> Iterator[str]:
    """The lines of the text, without their ends."""
    yield "flowchart LR"
    numbers = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        yield f"  {numbers[node.id]}{_SHAPES[node.role].format('<br/>'.join(_lines(node)))}"
    for edge in graph.edges:
        words = "✗" if edge.problem else edge.label  # the reason is in the box
        label = f'|"{label_text(words)}"|' if words else ""
        arrow = "-.->" if edge.problem or edge.aside else "-->"
        yield f"  {numbers[edge.source]} {arrow}{label} {numbers[edge.target]}"
    for name, style in _CLASSES.items():
        members = [numbers[item.id] for item in graph.nodes if (item.problems if name == "bad" else item.role == name)]
        if members:
            yield f"  classDef {name} {style}"
            yield f"  class {','.join(members)} {name}"


def _lines(node: Node) -> Iterator[str]:
    yield label_text(node.title)
    yield from map(label_text, node.lines)
    yield from map(label_text, wrapped(node.problems))


def label_text(text: str) -> str:
    """A text as a part of a quoted label."""
    escaped = _MEANING.sub(lambda found: f"#{ord(found[0])};", cut(one_line(text)))
    return _WORDS.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", escaped)
