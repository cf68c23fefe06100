"""What reading costs: as much as there is to read, however many objects, lines and faults a document has."""

from __future__ import annotations

import pytest

from sluicegate.cli.checked import schema_diagnostics
from sluicegate.controller.sources.files import loader, read
from sluicegate.testing.offline import load_offline

ROUTE = """\
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata:
    name: route-{number}   # ünïcode 𝄞
  spec:
    hostnames: ["*.example.com"]
    rules:
    - backendRefs:
      - name: missing
        port: 80
"""
RULES = ROUTE.partition("rules:\n")[2]


class Parsed:
    """Counts the characters that were parsed."""

    characters = 0


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    counts = Parsed()

    class Counting(loader._Loader):  # type: ignore[name-defined, misc]
        def __init__(self, text: str) -> None:
            counts.characters += len(text)
            super().__init__(text)

    monkeypatch.setattr(loader, "_Loader", Counting)
    return counts


def as_list(routes: int) -> str:
    return "apiVersion: v1\nkind: List\nitems:\n" + "".join(ROUTE.format(number=number) for number in range(routes))


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize("routes", [10, 200])
def test_a_list_is_parsed_a_few_times_however_many_items_and_problems_it_has(
    parsed: Parsed, routes: int, alias: bool
) -> None:
    text = as_list(routes)
    if alias:  # as programs write what is equal
        text = text.replace("rules:\n", "rules: &rules\n", 1).replace(f"rules:\n{RULES}", "rules: *rules\n")
        assert text.count("*rules") == routes - 1
    offline = load_offline(["-"], standard_input=text)
    found = offline.diagnostics()
    assert offline.refresh.objects == routes
    assert len({item.object for item in found}) == routes
    # Once to read it, once more to find the lines of what is wrong with each item.
    assert parsed.characters < 2.5 * len(text)


def test_a_document_is_parsed_once_for_all_that_is_wrong_with_it(parsed: Parsed) -> None:
    spec = "".join(f"  odd{number}: 1\n" for number in range(200))
    text = f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: odd\nspec:\n{spec}"
    documents = read(["-"], text).documents
    found = list(schema_diagnostics(documents))
    assert [item.line for item in found] == list(range(6, 206))
    assert parsed.characters == 2 * len(text)
    offline = load_offline(["-"], standard_input=text)
    assert len(offline.refresh.diagnostics) == 200
    assert parsed.characters < 6 * len(text)


def test_items_of_a_list_know_their_lines() -> None:
    text = "# a comment\n---\n" + as_list(3)
    for number, document in enumerate(read(["-"], text).documents):
        start = 6 + 10 * number
        assert document.origin.line == start
        assert document.line_of("metadata.name") == start + 3
        assert document.line_of("spec.rules[0].backendRefs[0].port") == start + 9


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\nitems: [\n{kind: A,\n spec: {a: 1}},\n{kind: B, spec: {\na: 2}}]\n",
        "kind: List\nitems:\n- &one\n  kind: A\n  spec: {a: 1}\n- kind: B\n  other: *one\n  spec:\n    a: 2\n",
        "kind: List\nitems:\n  -\n    kind: A\n    spec: {a: 1}\n\n  -   kind: B\n      spec:\n        a: 2\n",
    ],
)
def test_items_of_odd_lists_know_their_lines_too(text: str) -> None:
    for document, wanted in zip(read(["-"], text).documents, ("a: 1", "a: 2"), strict=True):
        assert wanted in text.splitlines()[document.line_of("spec.a") - 1]
