"""`sluicegate graph`: what is drawn, that the same objects draw the same, and that names are never syntax.

`python tests/unit/test_graph.py` writes what is expected of `graph/shop.yaml`; look at what changed before it is kept.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from sluicegate.cli.application import main
from sluicegate.cli.graph_mermaid import label_text, mermaid
from sluicegate.cli.graph_model import Edge, Graph, Node
from sluicegate.cli.graph_svg import svg
from sluicegate.cli.graph_text import MAX_LINE, columns, cut, wrapped
from sluicegate.words import one_line

Run = Callable[..., tuple[int, str]]

FOLDER = Path(__file__).parent / "graph"
EXPECTED = {"mermaid": "shop.mmd", "svg": "shop.svg"}
SVG = "{http://www.w3.org/2000/svg}"

#: What would be more than text somewhere: in XML, in HTML, in Mermaid, in Markdown, on a terminal.
HOSTILE = [
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>',
    "</title></svg><svg onload=alert(1)>",
    "]]><!-- <![CDATA[ &amp; &lt; &#60;",
    '"]; click n0 call alert(1)',
    '"] --> evil["',
    "%%{init: {'securityLevel': 'loose'}}%%",
    "#quot;]; style:x#35; classDef x:y#z;",
    "`**bold** _it_` [link](javascript:alert(1))",
    "end\nsubgraph x\r\n%% comment",
    "a\x1b[2Jb\x07c\x00d\u202ee\u2028f",
    "\ud800 \ufffe \uffff",
]


def written(name: str) -> str:
    text = io.StringIO()
    with contextlib.chdir(FOLDER), contextlib.redirect_stdout(text):
        assert main(["graph", "shop.yaml", "--format", name]) == 0
    return text.getvalue()


@pytest.mark.parametrize("name", EXPECTED)
def test_each_format_is_as_it_was_looked_at(name: str) -> None:
    """Where this fails: `python tests/unit/test_graph.py`, and look at what it changed."""
    assert written(name) == (FOLDER / EXPECTED[name]).read_text()


def test_the_order_of_files_changes_nothing(tmp_path: Path, command: Run) -> None:
    documents = (FOLDER / "shop.yaml").read_text().split("---\n")
    for number, order in enumerate((documents, documents[::-1], documents[5:] + documents[:5])):
        (tmp_path / f"{number}.yaml").write_text("---\n".join(order))
    for name in EXPECTED:
        texts = {command("graph", tmp_path / f"{number}.yaml", "--format", name) for number in range(3)}
        assert len(texts) == 1


def test_what_is_not_accepted_has_its_reason(command: Run) -> None:
    status, text = command("graph", FOLDER / "shop.yaml", "--format", "svg")
    assert status == 0
    boxes = {found[0].text: found for found in map(texts_of, ElementTree.fromstring(text).iter(f"{SVG}g"))}
    reasons = {
        "https": "InvalidCertificateRef",
        "HTTPRoute default/missing-listener": "NoMatchingParent",
        "HTTPRoute default/no-backend": "BackendNotFound",
        "HTTPRoute default/refused": "Must have port for Service reference",
        "HTTPRoute default/secure": "none of its listeners",
        "HTTPRoute default/elsewhere": "no Gateway of this name",
        "RateLimitPolicy default/adrift": "HTTPRoute default/nobody does not exist",
        "Service default/gone:80": "no such Service",
    }
    for title, reason in reasons.items():
        wrong = " ".join((item.text or "").strip() for item in boxes[title] if item.get("class") == "wrong")
        assert reason in wrong, title
    for title in ("http", "team", "HTTPRoute default/cart", "Service default/cart:80"):
        assert "wrong" not in {item.get("class") for item in boxes[title]}, title
    assert "AccessPolicy default/office" in {item.text for item in boxes["HTTPRoute default/cart"]}


def texts_of(box: ElementTree.Element) -> list[ElementTree.Element]:
    return box.findall(f"{SVG}text")


def hostile_graph(name: str) -> Graph:
    nodes = (Node("a", "gateway", name, (name,), (name,)), Node("b", "route", name, (name,)), Node("c", "policy", name))
    return Graph(
        nodes, (Edge("a", "b", name), Edge("a", "b", name, name, aside=True), Edge("c", "b", name, aside=True))
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_in_a_picture(name: str) -> None:
    plain, hostile = ("\n".join(svg(hostile_graph(text))) for text in ("name", name))
    found = ElementTree.fromstring(hostile.encode())  # well-formed, or this raises
    wanted = [item.tag for item in ElementTree.fromstring(plain).iter()]
    tags = [item.tag for item in found.iter()]
    assert set(tags) == set(wanted) <= {f"{SVG}{tag}" for tag in ("svg", "title", "style", "text", "path", "g", "rect")}
    names = {key for item in found.iter() for key in item.keys()}  # noqa: SIM118 (attributes of an element)
    assert not {key for key in names if key.startswith("on") or key in {"href", "style"}}
    assert "\x1b" not in hostile


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_in_mermaid(name: str) -> None:
    shapes = [re.sub(r'"[^"]*"', '""', "\n".join(mermaid(hostile_graph(text)))) for text in ("name", name)]
    # A long problem has more lines; what stands around labels is the same.
    assert shapes[0] == shapes[1]
    label = label_text(name)
    assert re.fullmatch(r"(?:[\w ./:,=()→…✗-]|#\d+;)*", label)
    assert not re.search("style|classDef|%%|_", label)
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) == cut(one_line(name))


def test_lines_are_broken_and_cut_by_columns() -> None:
    long = " ".join(["word"] * 40)
    for text in (long, "x" * 400, "字" * 200, "短 " * 100):
        lines = list(wrapped([text]))
        assert 1 < len(lines) <= 4
        assert max(map(columns, lines)) <= MAX_LINE
    assert list(wrapped(["short"])) == ["✗ short"]
    assert cut("字" * 50) == "字" * 35 + "…"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    """The picture of 200 routes at three listeners, that share 25 backends and have 100 of their own."""
    names = ("http", "shop", "admin")
    listeners = [{"name": name, "protocol": "HTTP", "port": 80 + number} for number, name in enumerate(names)]
    documents = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge"},
            "spec": {"gatewayClassName": "sluicegate", "listeners": listeners},
        }
    ]
    services = {f"app-{number % 25}" if number % 2 else f"own-{number}": number for number in range(200)}
    for number in range(200):
        backend = f"app-{number % 25}" if number % 2 else f"own-{number}"
        documents.append(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": f"route-{number:03}"},
                "spec": {
                    "parentRefs": [{"name": "edge", "sectionName": names[number % 3]}],
                    "rules": [{"backendRefs": [{"name": backend, "port": 80}]}],
                },
            }
        )
    documents += [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
        for name in services
    ]
    folder = tmp_path_factory.mktemp("many")
    (folder / "all.yaml").write_text(yaml.safe_dump_all(documents))
    target = folder / "all.svg"
    assert main(["graph", str(folder / "all.yaml"), "--format", "svg", "--output-file", str(target)]) == 0
    return ElementTree.fromstring(target.read_text())


def test_two_hundred_routes_can_be_told_apart(many: ElementTree.Element) -> None:
    """No box lies on another, all text is within its box, no line crosses a box, and lanes are apart."""
    rects = [
        tuple(float(item.get(key, "")) for key in ("x", "y", "width", "height")) for item in many.iter(f"{SVG}rect")
    ]
    assert len(rects) == 1 + 3 + 200 + 125
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in itertools.combinations(rects, 2):
        apart = (
            x + width <= other_x or other_x + other_width <= x or y + height <= other_y or other_y + other_height <= y
        )
        assert apart
    for box in many.iter(f"{SVG}g"):
        [rect] = box.findall(f"{SVG}rect")
        room = float(rect.get("width", "")) - 16
        assert all(columns(item.text or "") * 7.3 <= room + 0.1 for item in texts_of(box))
    shape = re.compile(r"M\S+ (\S+)H(\S+)V([\d.]+)H")
    turns = [
        tuple(map(float, found.groups()))
        for item in many.iter(f"{SVG}path")
        if (found := shape.match(item.get("d", "")))
    ]
    verticals = [(lane, *sorted((start, end))) for start, lane, end in turns]
    assert len(verticals) == 3 + 200 + 200
    for lane, top, bottom in verticals:
        assert not any(x < lane < x + width and y < bottom and top < y + height for x, y, width, height in rects)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ((), 2, "give paths of manifests"),
        (("no-such-file.yaml",), 2, "no such file"),
        (("graph/shop.yaml", "--format", "png"), 2, "invalid choice"),
        (("graph/shop.yaml", "--output-file", "no/such/folder"), 2, "--output-file"),
        (("graph",), 0, "flowchart LR"),
        (("graph/shop.svg",), 1, "not valid YAML"),
    ],
)
def test_what_cannot_be_drawn_is_told(arguments: tuple[str, ...], status: int, text: str, command: Run) -> None:
    with contextlib.chdir(FOLDER.parent):
        found = command("graph", *arguments)
    assert found[0] == status, found[1]
    assert text in found[1]


if __name__ == "__main__":
    for kind, file in EXPECTED.items():
        (FOLDER / file).write_text(written(kind))
