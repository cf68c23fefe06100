"""The collector of OpenTelemetry, built from its Go modules (`tests/collector`), in a process of its own.

It takes spans by OTLP over gRPC and over HTTP, and hands them on by OTLP over HTTP: who takes them there sees what a
real collector made of them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

from system_gateway import LIMIT, own_address
from system_interop import build

MODULE = Path(__file__).resolve().parent.parent / "collector"
#: As OTLP has them.
GRPC_PORT, HTTP_PORT = 4317, 4318
_READY = "Everything is ready. Begin running and processing data."


class RealCollector:
    """On a loopback address of its own, so that it can come late, and come back.

    Attributes:
        address: that it binds, at both ports of OTLP.
    """

    def __init__(self, to: tuple[str, int]) -> None:
        """Nothing runs yet; `to`: who takes what it hands on."""
        self._binary = build(MODULE, {"collector": "."}, "main.go")["collector"]
        self.address = own_address()
        self._to = to
        self._process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def _configuration(self) -> dict[str, Any]:
        protocols = {
            "grpc": {"endpoint": f"{self.address}:{GRPC_PORT}"},
            "http": {"endpoint": f"{self.address}:{HTTP_PORT}"},
        }
        pipeline = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlp_http"]}
        return {
            "receivers": {"otlp": {"protocols": protocols}},
            "processors": {"batch": {}},
            "exporters": {"otlp_http": {"endpoint": f"http://{self._to[0]}:{self._to[1]}", "compression": "none"}},
            "service": {"pipelines": {"traces": pipeline}},
        }

    def start(self) -> None:
        """Start it, and wait until it takes spans."""
        command = [str(self._binary), f"--config=yaml:{json.dumps(self._configuration())}"]
        begun, self._process = len(self.said), subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(self._process, ready), daemon=True).start()
        assert ready.wait(LIMIT), self.said
        assert any(_READY in line for line in self.said[begun:]), self.said

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)
            if _READY in line:
                ready.set()
        self.said.append("it has ended")
        ready.set()  # nobody has to wait for it any longer

    def send_signal(self, number: int) -> None:
        """`SIGSTOP` has it stall, `SIGCONT` go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once: what it has taken and not handed on is gone."""
        if self._process is not None:
            self.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
