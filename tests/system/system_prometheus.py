"""A Prometheus that scrapes a gateway and a controller's metrics: the program itself (Debian: `prometheus`)."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import yaml
from system_gateway import Gateway
from test_monitoring import rules

from sluicegate.processes.controller.metrics import ControllerMetrics

PROMETHEUS = shutil.which("prometheus")
LIMIT = 60.0


class World(Protocol):
    """What is scraped."""

    gateway: Gateway
    controller: ControllerMetrics

    def traffic(self) -> None:
        """A request of each kind."""

    def close(self) -> None:
        """Stop everything."""


class Watched:
    """A Prometheus that scrapes a world each second."""

    def __init__(self, folder: Path, make: Callable[[Path], World]) -> None:
        self.world = make(folder / "manifests")
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
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--enable-feature=exemplar-storage"]
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


def _shows(world: World) -> type[BaseHTTPRequestHandler]:
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
