"""The annotations of an Ingress, as ingress-nginx 1.15 takes them (`internal/ingress/annotations/parser`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]
PREFIX = "nginx.ingress.kubernetes.io/"
#: What the controller takes of annotations (`validators.go`): others are as good as not there; a redirect that is not
#: valid costs the Ingress.
_PATH = re.compile(r"/?[-._~a-zA-Z0-9/:$]*")
_URL = re.compile(r"[-._~a-zA-Z0-9/:,?&=]*")
_VALID = {
    **dict.fromkeys(("rewrite-target", "app-root", "x-forwarded-prefix"), _PATH),
    **dict.fromkeys(("permanent-redirect", "temporal-redirect"), _URL),
    "proxy-body-size": re.compile(r"[0-9]+[bkmgBKMG]?"),
}


class Annotations:
    """The annotations of an Ingress."""

    def __init__(self, ingress: Document) -> None:
        self.written: dict[str, str] = ingress["metadata"].get("annotations") or {}

    def without(self, names: Iterable[str]) -> Annotations:
        """The others, and no redirect to https."""
        left = {name: value for name, value in self.written.items() if name.removeprefix(PREFIX) not in names}
        none = {PREFIX + name: "false" for name in ("ssl-redirect", "force-ssl-redirect")}
        return Annotations({"metadata": {"annotations": {**left, **none}}})

    def has(self, *names: str) -> bool:
        """Whether one of them is written."""
        return any(PREFIX + name in self.written for name in names)

    def text(self, *names: str, default: str = "") -> str:
        """The first of several that is written, and is valid."""
        return next((self.written[PREFIX + name] for name in names if self.has(name) and self.is_valid(name)), default)

    def is_valid(self, name: str) -> bool:
        """Whether the controller takes an annotation as it is written."""
        return name not in _VALID or _VALID[name].fullmatch(self.written.get(PREFIX + name, "")) is not None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """One that is true or false."""
        return self.text(name, default=str(default)).lower() in {"true", "1", "t"}

    def words(self, *names: str) -> list[str]:
        """The parts of a list."""
        return [item.strip() for item in self.text(*names).split(",") if item.strip()]
