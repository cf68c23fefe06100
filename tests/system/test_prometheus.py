"""Every query of the dashboards has a result, and every alert can be evaluated, in a Prometheus that scrapes what runs.

It needs `prometheus` (Debian: the package of that name) and is left out without it; `test_monitoring` needs none.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from system_gateway import until
from system_monitored import Monitored
from test_monitoring import EXPRESSIONS, VARIABLES, rules

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not here: apt-get install prometheus")
LIMIT = 60.0


class Watched:
    """A Prometheus that scrapes a world each second."""

    def __init__(self, folder: Path) -> None:
        self.world = Monitored(folder / "manifests")
        self._controller = HTTPServer(("127.0.0.1", 0), _shows(self.world))
        threading.Thread(target=self._controller.serve_forever, daemon=True).start()
        targets = {
            f"{self.world.gateway.address}:19000": "edge-1",
            f"127.0.0.1:{self._controller.server_port}": "own-1",
        }
        scraped = [
            {"targets": [address], "labels": {"namespace": "shop", "pod": pod}} for address, pod in targets.items()
        ]
        job = {"job_name": "sluicegate", "honor_labels": True, "scrape_interval": "1s", "static_configs": scraped}
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules()["spec"]))
        settings = {
            "global": {"evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yaml")],
            "scrape_configs": [job],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        assert PROMETHEUS is not None
        command = [PROMETHEUS, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
        command.append(f"--web.listen-address=127.0.0.1:{self.port}")
        self._log = (folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def ask(self, path: str, **query: str) -> Any:
        """An answer of its API; None while it begins."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(query)}")
            response = connection.getresponse()
            body = response.read()
        except OSError:
            return None
        finally:
            connection.close()
        if response.status == 503:  # it reads what it had
            return None
        answer: dict[str, Any] = json.loads(body)
        assert answer["status"] == "success", (query, answer)
        return answer["data"]

    def samples(self, query: str) -> list[Any]:
        """What a query gives now."""
        found = self.ask("query", query=query)
        return list(found["result"]) if found is not None else []

    def close(self) -> None:
        """Stop everything."""
        self._process.terminate()
        self._process.wait(LIMIT)
        self._log.close()
        self._controller.shutdown()
        self._controller.server_close()
        self.world.close()


def _shows(world: Monitored) -> type[BaseHTTPRequestHandler]:
    class Shows(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = world.controller.text()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Shows


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    found = Watched(tmp_path_factory.mktemp("prometheus"))
    try:
        # Rates need a series that has grown between two scrapes.
        until(
            lambda: found.world.traffic() or found.samples("count_over_time(sluicegate_config_generation[5m]) > 4"),
            "scrapes",
        )
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("place", [place for place in EXPRESSIONS if ": " in place and "$" not in place])
def test_panels_show_something(place: str, watched: Watched) -> None:
    query = EXPRESSIONS[place].replace("$__rate_interval", "1m")
    for name in VARIABLES:
        query = query.replace(f"${name}", ".*")
    assert watched.samples(query), query


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_variables_have_values(name: str, watched: Watched) -> None:
    """What Grafana offers to choose from."""
    [query] = [text for place, text in EXPRESSIONS.items() if place.endswith(f": ${name}")]
    metric = query.removeprefix("label_values(").partition("{")[0].partition(",")[0]
    assert watched.ask(f"label/{name}/values", **{"match[]": metric})


def test_alerts_are_evaluated(watched: Watched) -> None:
    def evaluated() -> list[dict[str, Any]]:
        found = watched.ask("rules")
        every = [rule for group in found["groups"] for rule in group["rules"]]
        return every if all(rule["health"] != "unknown" for rule in every) else []

    until(evaluated, "all rules were evaluated")
    assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in evaluated()} == {
        rule["alert"]: ("ok", None) for group in rules()["spec"]["groups"] for rule in group["rules"]
    }
