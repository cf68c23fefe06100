"""Ingresses of real charts, converted, answer requests as users of the chart expect; what does not is told.

A chart is a case of `migrate_cases.py` with `asked.yaml` besides, a list of requests:

- `ask`: method and URL, as `sluicegate explain` takes it; `from`, `fields`, `identity` (optional): who asks, and with
  what;
- `backend`, `target`, `host`, `copies`; or `status`, `location`, `answers`: what is expected of the answer;
- `told` (optional): the answer is not as expected, and a loss of this annotation or field says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from migrate_cases import CHARTS, Case, cases
from surroundings import surroundings
from system_certificates import Authority, Pair

import sluicegate
from sluicegate.controller.ingress import NGINX

FOUND = [case for case in cases() if case.path.parent == CHARTS]
#: What `asked.yaml` may have of a request, and of what is expected.
REQUEST, EXPECTED = {"ask", "from", "fields", "identity", "told"}, {"backend", "target", "host", "copies", "status"}


def by_name(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Authority().sign("example.com")


def load(case: Case, pair: Pair, folder: Path) -> sluicegate.Routes:
    """What `out.yaml` serves, in a cluster that has what it refers to."""
    texts = [(case.path / name).read_text() for name in ("out.yaml", "in.yaml")]
    documents = [item for text in texts for item in yaml.safe_load_all(text)]
    path = folder / "all.yaml"
    path.write_text(yaml.safe_dump_all([*documents, *surroundings(documents, pair)]))
    return sluicegate.load([path])


def told(decision: sluicegate.Decision) -> dict[str, Any]:
    """A decision in the words of `asked.yaml`."""
    if decision.outcome == "forward":
        request = decision.request
        assert request is not None
        copies = list(decision.mirrors)
        return {"backend": decision.backend, "target": request.target, "host": request.authority, "copies": copies}
    headers = dict(decision.response.headers) if decision.response is not None else {}
    fields = {name.lower(): value for name, value in headers.items()}
    return {"status": decision.status, "location": fields.get("location"), "answers": fields}


def differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What is not as expected: by name, what is there instead."""
    wrong = {}
    for name, value in expected.items():
        given = found.get(name)
        if name == "answers":
            given = {key: (given or {}).get(key) for key in value}
        if given != value:
            wrong[name] = given
    return wrong


@pytest.mark.parametrize("case", FOUND, ids=by_name)
def test_requests_are_answered_as_users_expect(case: Case, pair: Pair, tmp_path: Path) -> None:
    routes = load(case, pair, tmp_path)
    losses = {item.subject for item in case.convert().losses}
    for asked in yaml.safe_load((case.path / "asked.yaml").read_text()):
        expected = {name: value for name, value in asked.items() if name not in REQUEST}
        assert expected.keys() & {"backend", "status"}, asked
        decision = routes.decide(
            asked["ask"], asked.get("fields", {}), client=asked.get("from"), identity=asked.get("identity")
        )
        wrong = differences(expected, told(decision))
        if "told" in asked:
            assert wrong, f"{asked['ask']}: it is as expected now: take `told` out"
            assert asked["told"] in losses, asked
        else:
            assert wrong == {}, f"{asked['ask']}: {decision}"


@pytest.mark.parametrize("case", FOUND, ids=by_name)
def test_something_is_said_of_every_annotation(case: Case) -> None:
    """Also of one that is converted as it is: nobody has to guess what became of it."""
    files = case.files()
    conversion = case.convert()
    said = {(item.object, item.subject) for item in conversion.fates}
    for ingress in files.inventory.ingresses:
        for name in ingress.metadata.annotations:
            assert not name.startswith(NGINX.prefix) or (str(ingress.key), name) in said, name


def test_there_are_as_many_charts_as_patterns() -> None:
    """35 patterns are known from public charts."""
    assert len(FOUND) == 35
