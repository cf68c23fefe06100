"""A browser without a window, spoken to by the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

#: Seconds that an answer may take.
LIMIT = 60.0
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_LISTENS = re.compile(r"DevTools listening on (ws://\S+)")
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "/": 191}


class Browser:
    """One page of a browser of its own."""

    def __init__(self, folder: Path) -> None:
        command = [str(PROGRAM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
        command += ["--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-port=0"]
        command += [f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        found = next(filter(None, map(_LISTENS.search, self._process.stderr)))
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(found[1], max_size=None, open_timeout=LIMIT))
        self._number = 0
        self._session = ""
        #: What went wrong in the page: exceptions, and what its policy refuses.
        self.complaints: list[str] = []
        targets = self.ask("Target.getTargets")["targetInfos"]
        target = next(item["targetId"] for item in targets if item["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        self._open.close()
        self._process.terminate()
        self._process.wait(LIMIT)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have something done; returns the answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        for answer in self._messages():
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
        raise AssertionError("the browser has gone")

    def open(self, place: Path | str) -> None:
        """Load a page, and all of it, by its path or its address."""
        self.ask("Page.navigate", url=place.as_uri() if isinstance(place, Path) else place)
        for message in self._messages():
            if message.get("method") == "Page.loadEventFired":
                return

    def run(self, script: str) -> Any:
        """What a script comes to, once the page has drawn what went before it."""
        drawn = f"new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done({script}))))"
        found = self.ask("Runtime.evaluate", expression=drawn, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, and let it go."""
        text = {"Enter": "\r", "/": "/"}.get(key, "")
        both = {"key": key, "code": {"/": "Slash"}.get(key, key), "windowsVirtualKeyCode": _KEYS[key]}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **both, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **both)

    def write(self, text: str) -> None:
        """Write where the focus is."""
        self.ask("Input.insertText", text=text)

    def prefer(self, scheme: str) -> None:
        """Be somebody who likes `light` or `dark`."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def wait(self, script: str) -> None:
        """Until a script comes to something; the page itself looks, at each frame that it draws."""
        found = f"new Promise((done) => {{ const look = () => ({script}) ? done() : setTimeout(look, 20); look(); }})"
        answer = self.ask("Runtime.evaluate", expression=found, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer

    def picture(self, width: int = 1280, height: int = 800) -> bytes:
        """What people see, as PNG."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def controls(self) -> dict[str, list[str]]:
        """What people can operate, as a screen reader has it: names by role."""
        self.ask("Accessibility.enable")
        found: dict[str, list[str]] = {}
        for node in self.ask("Accessibility.getFullAXTree")["nodes"]:
            if not node["ignored"]:
                found.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
        return found

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            message = json.loads(self._socket.recv(LIMIT))
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(str(message["params"]["entry"]["text"]))
            yield message
