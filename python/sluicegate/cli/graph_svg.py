"""A graph as an SVG picture: one column for each kind, from Gateways on the left to backends on the right.

Rules:
- The picture is a file of its own: no script, no font, no link, and nothing of an object in it but as text.
- A line keeps to a lane of its own between two columns, so that it can be followed past two hundred others.
- What is wrong is said in words, not by colour alone; what is too long for its box is in the box's title.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from sluicegate.words import count, one_line

from .graph_model import COLUMNS, Edge, Graph, Node, Role
from .graph_text import MAX_LINE, columns, cut, wrapped

#: Of one character of the font, and of one line, in pixels.
CHARACTER, LINE = 7.3, 16
PADDING, GAP, LANE, MARGIN, HEAD = 8, 10, 7, 24, 56

_HEADINGS = {
    "gateway": "Gateways",
    "listenerset": "ListenerSets",
    "listener": "listeners",
    "route": "routes",
    "backend": "backends",
}
#: Columns that are set beside routes: what leads to these from the nearest on, then what they lead to.
_BESIDE: tuple[Role, ...] = ("listener", "listenerset", "gateway", "backend")
#: Hues of lines, so that neighbours differ.
_HUES = (211, 130, 28, 280, 340, 175, 55, 250)
#: What XML does not allow, besides what `one_line` takes.
_NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_STYLE = """
svg { background: #fff; font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
text { fill: #1b1f24; white-space: pre; } .quiet { fill: #57606a; } .name { font-weight: bold; }
.heading { font-size: 14px; font-weight: bold; } text.policy { fill: #7b1fa2; } .wrong { fill: #b71c1c; }
rect { fill: #f6f8fa; stroke: #8c959f; } .gateway { fill: #e3f2fd; } .listenerset { fill: #e1f5fe; }
.listener { fill: #e8eaf6; } .route { fill: #edf7ee; } .backend { fill: #fff8e1; }
rect.bad { stroke: #c62828; stroke-width: 2.5; } path { fill: none; stroke-width: 1.4; }
path.bad { stroke: #c62828 !important; stroke-dasharray: 5 3; } path.aside { stroke-dasharray: 2 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #9ba5af; } text.policy { fill: #d0a5e8; }
  .wrong { fill: #ff8a80; } rect { fill: #161b22; stroke: #6e7681; } .gateway { fill: #10263b; }
  .listenerset { fill: #0f2a35; } .listener { fill: #1b1f3a; } .route { fill: #12261a; } .backend { fill: #2a2413; }
  rect.bad { stroke: #ff6b60; } path.bad { stroke: #ff6b60 !important; }
}
"""


@dataclass(frozen=True, slots=True)
class _Text:
    """A line of a box, and how it looks."""

    text: str
    look: str


@dataclass(slots=True)
class _Box:
    """A node with its place."""

    node: Node
    texts: list[_Text]
    width: float
    x: float = 0
    y: float = 0

    @property
    def height(self) -> float:
        return len(self.texts) * LINE + 2 * PADDING


def svg(graph: Graph) -> Iterator[str]:
    """The lines of the picture, without their ends."""
    policies = _policies(graph)
    boxes = {node.id: _box(node, policies[node.id]) for node in graph.nodes if node.role != "policy"}
    ways = [edge for edge in graph.edges if edge.source in boxes and edge.target in boxes]
    _stack(boxes, ways)
    lanes = _across(boxes, ways)
    width = max((box.x + box.width for box in boxes.values()), default=400) + MARGIN
    bottom = max((box.y + box.height for box in boxes.values()), default=HEAD)
    loose = [_box(node, []) for node in graph.nodes if node.role == "policy" and not _attached(graph, node)]
    for box in loose:
        box.x, box.y = MARGIN, bottom + (48 if box is loose[0] else GAP)
        bottom, width = box.y + box.height, max(width, box.x + box.width + MARGIN)
    height = bottom + MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
    )
    yield f"<title>{_words(_summary(graph))}</title>"
    yield f"<style>{_STYLE}</style>"
    for role in COLUMNS:
        first = next((box for box in boxes.values() if box.node.role == role), None)
        if first is not None:
            yield f'<text class="heading" x="{first.x:.0f}" y="{MARGIN + 10}">{_HEADINGS[role]}</text>'
    if loose:
        place = loose[0].y - 14
        yield f'<text class="heading" x="{MARGIN}" y="{place:.0f}">policies that are attached to nothing here</text>'
    for edge in ways:
        yield _path(boxes[edge.source], boxes[edge.target], edge, *lanes[_lane_of(edge, boxes)])
    for box in (*boxes.values(), *loose):
        yield from _drawn(box)
    yield "</svg>"


def _attached(graph: Graph, node: Node) -> bool:
    return any(edge.source == node.id for edge in graph.edges)


def _policies(graph: Graph) -> Mapping[str, list[_Text]]:
    """What boxes say of the policies that are attached to them."""
    nodes = {node.id: node for node in graph.nodes}
    found: dict[str, list[_Text]] = defaultdict(list)
    for edge in graph.edges:
        policy = nodes[edge.source]
        if policy.role == "policy":
            part = f" at {edge.label}" if edge.label else ""
            found[edge.target].append(_Text(f"{policy.title}{part}", "policy"))
            found[edge.target] += [_Text(line, "wrong") for line in wrapped(policy.problems)]
    return found


def _box(node: Node, policies: Iterable[_Text]) -> _Box:
    texts = [_Text(node.title, "name"), *(_Text(line, "quiet") for line in node.lines)]
    texts += [_Text(line, "wrong") for line in wrapped(node.problems)]
    texts += policies
    longest = max(min(columns(item.text), MAX_LINE) for item in texts)
    return _Box(node, texts, longest * CHARACTER + 2 * PADDING)


def _stack(boxes: Mapping[str, _Box], ways: Sequence[Edge]) -> None:
    """Heights of all boxes: routes below each other by their listeners, the others beside the first route of theirs."""
    columns_of: dict[Role, list[_Box]] = {role: [] for role in COLUMNS}
    for box in boxes.values():
        columns_of[box.node.role].append(box)
    rank = {name: number for number, name in enumerate(boxes)}
    first: dict[str, int] = {}
    for edge in ways:
        first[edge.target] = min(first.get(edge.target, len(rank)), rank[edge.source])
    routes = columns_of["route"]
    routes.sort(key=lambda box: (first.get(box.node.id, len(rank)), rank[box.node.id]))
    _place(routes, {})
    for role in _BESIDE:
        forward = role != "backend"
        near: dict[str, float] = {}
        for edge in ways:
            own, other = (edge.source, edge.target) if forward else (edge.target, edge.source)
            if boxes[own].node.role == role and boxes[other].node.role != role:
                near[own] = min(near.get(own, boxes[other].y), boxes[other].y)
        column = columns_of[role]
        last = max(near.values(), default=0) + 1
        wanted = {box.node.id: near.get(box.node.id, last) for box in column}
        column.sort(key=lambda box: (wanted[box.node.id], rank[box.node.id]))
        _place(column, wanted)


def _place(column: Sequence[_Box], wanted: Mapping[str, float]) -> None:
    free = float(HEAD)
    for box in column:
        box.y = max(free, wanted.get(box.node.id, 0))
        free = box.y + box.height + GAP


#: Between which columns a line turns, and what it shares its lane with: all lines of a listener, or of a backend.
_Lane = tuple[int, str]


def _lane_of(edge: Edge, boxes: Mapping[str, _Box]) -> _Lane:
    target = boxes[edge.target].node.role
    gutter = COLUMNS.index(target) - 1
    return (gutter, edge.target if target == "backend" else edge.source)


def _across(boxes: Mapping[str, _Box], ways: Sequence[Edge]) -> dict[_Lane, tuple[float, int]]:
    """Set the columns beside each other; returns the place of each lane and its hue.

    Two lines share a lane's place where one ends above the other.
    """
    spans: dict[_Lane, tuple[float, float]] = {}
    for edge in ways:
        source, target = boxes[edge.source], boxes[edge.target]
        low, high = sorted((source.y, target.y))
        lane = _lane_of(edge, boxes)
        known = spans.get(lane, (low, high))
        spans[lane] = (min(known[0], low), max(known[1], high))
    taken: dict[int, list[float]] = defaultdict(list)
    slots: dict[_Lane, tuple[int, int]] = {}
    for number, (lane, (low, high)) in enumerate(sorted(spans.items(), key=lambda item: (item[0][0], *item[1]))):
        ends = taken[lane[0]]
        slot = next((place for place, end in enumerate(ends) if end + LINE < low), len(ends))
        ends[slot : slot + 1] = [high]
        slots[lane] = (slot, _HUES[number % len(_HUES)])
    x, right = float(MARGIN), dict[int, float]()
    for number, role in enumerate(COLUMNS):
        column = [box for box in boxes.values() if box.node.role == role]
        for box in column:
            box.x = x
        right[number] = x + max((box.width for box in column), default=0)
        gutter = len(taken[number]) * LANE + 3 * LANE if number in taken else 0
        x = right[number] + (gutter if column or gutter else 0)
    return {lane: (right[lane[0]] + LANE * (slot + 1.5), hue) for lane, (slot, hue) in slots.items()}


def _path(source: _Box, target: _Box, edge: Edge, x: float, hue: int) -> str:
    start, end = source.y + PADDING + LINE / 2, target.y + PADDING + LINE / 2
    look = "bad" if edge.problem else "aside" if edge.aside else ""
    words = f"{source.node.title} → {target.node.title}"
    told = edge.problem or edge.label
    words += f": {told}" if told else ""
    shape = f"M{source.x + source.width:.1f} {start:.1f}H{x:.1f}V{end:.1f}H{target.x - 5:.1f}"
    arrow = "m-3 -3.5 l4 3.5 l-4 3.5"
    return f'<path class="{look}" stroke="hsl({hue} 55% 52%)" d="{shape}{arrow}"><title>{_words(words)}</title></path>'


def _drawn(box: _Box) -> Iterator[str]:
    node = box.node
    look = f"{node.role} bad" if node.problems else node.role
    yield f"<g><title>{_words(chr(10).join((node.title, *node.lines, *node.problems)))}</title>"
    yield (
        f'<rect class="{look}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="5"/>'
    )
    for number, item in enumerate(box.texts):
        place = box.y + PADDING + LINE * number + LINE - 4
        yield f'<text class="{item.look}" x="{box.x + PADDING:.1f}" y="{place:.1f}">{_words(cut(item.text))}</text>'
    yield "</g>"


def _words(text: str) -> str:
    """Text of an object as XML; only breaks of lines of our own stay."""
    lines = (_NO_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", one_line(line)) for line in text.split("\n"))
    return escape("\n".join(lines))


def _summary(graph: Graph) -> str:
    numbers = [(role, sum(node.role == role for node in graph.nodes)) for role in (*COLUMNS, "policy")]
    names = {"listenerset": "ListenerSet", "gateway": "Gateway", "policy": "policy"}
    wrong = sum(bool(node.problems) for node in graph.nodes)
    parts = [_number(number, names.get(role, role)) for role, number in numbers if number]
    return f"{', '.join(parts) or 'nothing'}; {count(wrong, 'problem') if wrong else 'all accepted'}"


def _number(number: int, word: str) -> str:
    return f"{number:,} policies" if word == "policy" and number != 1 else count(number, word)
