"""SIGHUP and SIGUSR1 end no process that follows a cluster: the controller, and `serve --kubernetes`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer
from system_gateway import own_address
from test_credentials import kubeconfig

LIMIT = 60.0
CONTROLLER = ["controller", "--admin=127.0.0.1:0", "--stream-address=127.0.0.1:0", "--stream-name=localhost:18000"]
SERVE = ["serve", "--kubernetes", "--admin=127.0.0.1:0", "--workers=1"]
ROLES = [
    (CONTROLLER, "", signal.SIGHUP, "signal_ignored", "SIGHUP: nothing to do"),
    (CONTROLLER, "", signal.SIGUSR1, "signal_ignored", "SIGUSR1: nothing to do"),
    (SERVE, "", signal.SIGHUP, "access_log_reopened", "nothing to reopen"),
    (SERVE, "", signal.SIGUSR1, "access_log", "access log on"),
    (SERVE, "access.log", signal.SIGHUP, "access_log_reopened", "is opened again"),
    (SERVE, "access.log", signal.SIGUSR1, "access_log", "access log off"),
]


@pytest.mark.parametrize(("command", "log", "number", "event", "words"), ROLES)
def test_signals(tmp_path: Path, command: list[str], log: str, number: signal.Signals, event: str, words: str) -> None:
    async def scenario() -> None:
        server = ApiServer()
        await server.start()
        path = kubeconfig(tmp_path, server.url, {"token": "t"})
        arguments = [*command, f"--kubeconfig={path}", "--output=json"]
        if command is SERVE:
            arguments.append(f"--listen={own_address()}")
        if log:
            arguments.append(f"--access-log={tmp_path / log}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sluicegate", *arguments), stdout=asyncio.subprocess.PIPE
        )
        try:
            await line(process, "ready")
            if log:
                (tmp_path / log).rename(tmp_path / "moved")
            process.send_signal(number)
            assert words in (await line(process, event))["message"]
            assert (tmp_path / "access.log").exists() == (bool(log) and number == signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            await line(process, "stopped")
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await server.stop()

    asyncio.run(asyncio.wait_for(scenario(), LIMIT))


async def line(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """The next line about an event."""
    assert process.stdout is not None
    while text := await process.stdout.readline():
        found: dict[str, Any] = json.loads(text)
        if found["event"] == event:
            return found
    raise AssertionError(f"ended before {event}")
