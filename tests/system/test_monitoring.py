"""`deploy/monitoring`: every query names metrics and labels that a real scrape has, and its files are well formed.

The scrape is of a gateway with traffic, and of a controller. Labels that Prometheus adds to what it scrapes of a
PodMonitor (`namespace`, `pod`) are none of theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from system_monitored import Monitored

from deploy_tools import chart_documents
from sluicegate.cli.top_scrape import samples

DEPLOY = Path(__file__).parents[2] / "deploy"
MONITORING = DEPLOY / "monitoring"
DASHBOARDS = sorted(MONITORING.glob("dashboards/*.json"))
#: What Prometheus adds: of a pod, and of a histogram's query.
ADDED = {"namespace", "pod", "instance", "job", "container", "endpoint"}
FUNCTIONS = {"absent", "avg", "count", "histogram_quantile", "increase", "max", "min", "rate", "sort", "sum", "time"}
FUNCTIONS |= {"topk"}
#: What the samples of a metric are called, by its type.
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
#: Variables of the dashboards.
VARIABLES = {"namespace", "listener", "route", "backend"}
WORDS = {"and", "by", "label_values", "on", "or", "unless", "without"}


def expressions() -> Iterator[tuple[str, str]]:
    """Every query, with where it stands."""
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{path.stem}: ${variable['name']}", variable["definition"]
    for group in rules()["spec"]["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def rules() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    return found


EXPRESSIONS = dict(expressions())


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Labels by metric, of a gateway and a controller; of what has no series yet those that are documented."""
    world = Monitored(tmp_path_factory.mktemp("monitoring"))
    try:
        world.traffic()
        texts = world.texts()
    finally:
        world.close()
    found: dict[str, set[str]] = {}
    documented = dict(
        re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*)\|", (DEPLOY.parent / "docs/metrics.md").read_text(), re.M)
    )
    for text in texts:
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
            labels = set(re.findall(r"`(\w+)`", documented.get(name, "")))
            for ending in PARTS.get(kind, ("",)):
                found[f"{name}{ending}"] = labels
        for sample in samples(text):
            assert set(sample.labels) <= found[sample.name], sample
    assert len(found) > 50
    return found


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_queries_name_what_a_scrape_has(place: str, scraped: dict[str, set[str]]) -> None:
    expression = EXPRESSIONS[place]
    plain = re.sub(r"\b(?:by|on|without) \([^)]*\)|\[[^\]]*\]", "", expression)
    selectors = re.findall(r"([a-z_]\w*)(?:\{([^}]*)\})?", plain)
    used = set()
    for name, within in selectors:
        if name in FUNCTIONS | WORDS | VARIABLES or len(name) < 3:
            continue
        assert name in scraped, name
        used.add(name)
        labels = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)"', within))
        assert labels <= scraped[name] | ADDED, (name, labels)
    assert used
    grouped = {
        part.strip() for inner in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for part in inner.split(",")
    }
    assert grouped <= set().union(*(scraped[name] for name in used)) | ADDED, grouped


def test_a_query_of_something_else_would_be_found(scraped: dict[str, set[str]]) -> None:
    assert "sluicegate_requests" not in scraped
    assert "path" not in set().union(*scraped.values()), "no label is of clients"


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_queries_are_balanced(place: str) -> None:
    """Brackets that belong together, and a range for each rate."""
    text, opened = re.sub(r'"[^"]*"', '""', EXPRESSIONS[place]), []
    for character in text:
        if character in "([{":
            opened.append(character)
        elif character in ")]}":
            assert opened
            assert opened.pop() + character in {"()", "[]", "{}"}
    assert not opened
    ranges = re.findall(r"\[([^\]]*)\]", text)
    assert all(re.fullmatch(r"\$__rate_interval|\d+[smh]", item) for item in ranges)
    assert len(ranges) == len(re.findall(r"\b(?:rate|increase)\(", text))


def test_rules_are_whole() -> None:
    """As the Prometheus operator wants them, each with a word for people."""
    found = rules()
    assert (found["apiVersion"], found["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    every = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in every}) == len(every) > 10
    for rule in every:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = {part.strip() for inner in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for part in inner.split(",")}
        assert shown <= kept, rule["alert"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_can_be_imported(path: Path) -> None:
    """Into any Grafana: the data source is a variable, panels do not lie on each other, each has a title."""
    board = json.loads(path.read_text())
    assert board["uid"].startswith("sluicegate-")
    places = set()
    for panel in board["panels"]:
        assert panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & places
        places |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    variables = {item["name"] for item in board["templating"]["list"]}
    assert set(re.findall(r"\$(?!__)\{?(\w+)", path.read_text())) <= variables


def test_pod_monitors_find_the_pods() -> None:
    """By labels and the name of the port, of the controller as it is installed and of a data plane as it is planned."""
    own, planes = yaml.safe_load_all((MONITORING / "podmonitors.yaml").read_text())
    deployment = yaml.safe_load((DEPLOY / "controller" / "deployment.yaml").read_text().split("\n---\n")[-1])
    planned = yaml.safe_load((DEPLOY.parent / "tests/golden/provision/gateway/infrastructure.yaml").read_text())
    plane = next(deployments(planned))
    for monitor, target in ((own, deployment), (planes, plane)):
        template = target["spec"]["template"]
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= template["metadata"]["labels"].items()
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        ports = [port["name"] for item in template["spec"]["containers"] for port in item["ports"]]
        assert endpoint["port"] in ports
    assert planes["spec"]["namespaceSelector"] == {"any": True}


def test_the_chart_has_the_same_pod_monitors() -> None:
    """Where they are asked for; the CRDs of the operator are not everywhere."""
    options = ("--set", "podMonitor.create=true", "--set", "podMonitor.labels.release=prometheus")
    texts = [chart_documents(DEPLOY / "chart", "sluicegate", "sluicegate-system", *more) for more in ((), options)]
    without, found = (
        [item for item in yaml.safe_load_all(text) if item and item["kind"] == "PodMonitor"] for text in texts
    )
    assert without == []
    ours = list(yaml.safe_load_all((MONITORING / "podmonitors.yaml").read_text()))
    assert [item["spec"] for item in found] == [item["spec"] for item in ours]
    assert all(item["metadata"]["labels"]["release"] == "prometheus" for item in found)


def deployments(part: Any) -> Iterator[dict[str, Any]]:
    """All Deployments within a document."""
    if isinstance(part, dict) and part.get("kind") == "Deployment":
        yield part
    for item in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from deployments(item)
