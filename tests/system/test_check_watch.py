"""`sluicegate check --watch`: it checks at once, after each change, and ends at Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from system_gateway import LIMIT

GOOD = """\
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
"""


def test_it_checks_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(GOOD)
    command = [sys.executable, "-m", "sluicegate", "check", str(tmp_path), "--watch", "--no-conditions"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until(wanted: str) -> None:
        """Read one check after the other until one says this: a file may be seen while it is half written."""
        text = ""
        for line in process.stdout or ():
            text += line
            if line.startswith("Waiting for changes"):
                if wanted in text:
                    return
                text = ""
        raise AssertionError(f"it ended: {text}")

    try:
        until("1 document: no problem")
        path.write_text(GOOD.replace("port: 80", "prot: 80"))
        until("spec.ports[0].prot")
        (tmp_path / "new.yaml").write_text(GOOD.replace("app", "other"))
        until("2 documents: ")
        (tmp_path / "new.yaml").unlink()
        path.write_text(GOOD)
        until("1 document: no problem")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LIMIT)[1] == ""
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("arguments", [["-"], ["--kubernetes"], [".", "-o", "json"], [".", "-o", "sarif"], []])
def test_what_cannot_be_watched_is_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "sluicegate", "check", "--watch", *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, check=False, stdin=subprocess.DEVNULL
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--watch is for files and directories, and for text" in ended.stderr
