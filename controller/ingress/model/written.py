"""Values of annotations and of the ConfigMap, as ingress-nginx 1.15 reads and validates them.

Source: `internal/ingress/annotations/parser` (`checkAnnotation`, `validators.go`). What a validator refuses is mostly
as good as not there; some annotations refuse the whole Ingress (`Extract` gives it up), others close its locations.
"""

from __future__ import annotations

import ipaddress
import re

from ...api.ingress import Ingress, TextMap

PREFIX = "nginx.ingress.kubernetes.io/"
_PLAIN = r"\-._~a-zA-Z0-9/:"
#: `RegexPathWithCapture`, `URLIsValidRegex`, `BasicCharsRegex`, `IsValidRegex`, `HeadersVariable`.
PATH_WITH_CAPTURE = re.compile(rf"/?[{_PLAIN}$]*")
URL = re.compile(rf"[{_PLAIN},?&=]*")
URL_WITH_VARIABLES = re.compile(rf"[{_PLAIN}, ?&=$]*")
BASIC = re.compile(rf"[{_PLAIN}]*")
SERVER_NAME = re.compile(rf"[{_PLAIN}^$\[\](){{}}*+?|&=\\]*")
NAMES = re.compile(r"[A-Za-z0-9\-_, ]*")
ANY = re.compile(r".*", re.DOTALL)

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RefusedIngressError(Exception):
    """The controller does not take the Ingress at all."""


class DeniedLocationError(Exception):
    """All locations of the Ingress answer 503."""


class Written:
    """The annotations of an Ingress."""

    def __init__(self, ingress: Ingress, *, lenient: bool = False) -> None:
        """Take an Ingress; `lenient`: what would cost it is as good as not there."""
        self._annotations = ingress.metadata.annotations
        self._lenient = lenient

    def has(self, name: str) -> bool:
        """Whether an annotation is written, whatever it says."""
        return f"{PREFIX}{name}" in self._annotations

    def text(
        self, name: str, valid: re.Pattern[str] = ANY, *aliases: str, otherwise: type[Exception] | None = None
    ) -> str:
        """An annotation as text; empty: it is not there, or is none that the validator takes.

        Args:
            name: of it.
            valid: what all of it has to match.
            aliases: older names.
            otherwise: raised for one that is not valid.

        Raises:
            RefusedIngressError: see `otherwise`.
            DeniedLocationError: see `otherwise`.
        """
        raw = next((found for each in (name, *aliases) if (found := self._annotations.get(f"{PREFIX}{each}", ""))), "")
        text = "\n".join(line.strip() for line in raw.split("\n"))
        if valid.fullmatch(raw) or valid.fullmatch(text):
            return text
        self._refuse(name, otherwise)
        return ""

    def flag(self, name: str, *, default: bool = False, otherwise: type[Exception] | None = None) -> bool:
        """An annotation that is true or false; the default for anything else.

        Raises:
            RefusedIngressError: see `text`.
        """
        text = self._annotations.get(f"{PREFIX}{name}", "")
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text:
            self._refuse(name, otherwise)
        return default

    def number(self, name: str, default: int = 0, *, otherwise: type[Exception] | None = None) -> int:
        """An annotation that is a whole number; the default for anything else.

        Raises:
            RefusedIngressError: see `text`.
        """
        text = self._annotations.get(f"{PREFIX}{name}", "")
        if _INTEGER.fullmatch(text):
            return int(text)
        if text:
            self._refuse(name, otherwise)
        return default

    def _refuse(self, name: str, otherwise: type[Exception] | None) -> None:
        if otherwise is not None and not (self._lenient and otherwise is RefusedIngressError):
            raise otherwise(name)


class Settings:
    """The ConfigMap of the controller, with its defaults (`config.NewDefault`)."""

    def __init__(self, written: TextMap | None) -> None:
        """Take a ConfigMap; None: the defaults hold."""
        self._data = {key: str(value).strip() for key, value in (written.data if written is not None else {}).items()}

    def text(self, key: str, default: str = "") -> str:
        """A setting."""
        return self._data.get(key, default)

    def flag(self, key: str, *, default: bool) -> bool:
        """A setting that is true or false."""
        text = self._data.get(key, "")
        return text in _TRUE if text in _TRUE or text in _FALSE else default

    def number(self, key: str, default: int) -> int:
        """A setting that is a whole number."""
        text = self._data.get(key, "")
        return int(text) if _INTEGER.fullmatch(text) else default

    @property
    def redirect_code(self) -> int:
        """`http-redirect-code`, which takes four statuses only."""
        found = self.number("http-redirect-code", 308)
        return found if found in {301, 302, 307, 308} else 308


def networks(text: str) -> tuple[Network, ...] | None:
    """The blocks of a list (`ParseIPNets`); None: one of them is none, which spoils all."""
    found: list[Network] = []
    for item in text.split(","):
        if "%" in item:
            return None  # `net.ParseIP` takes no zone
        try:
            found.append(ipaddress.ip_network(item.strip(), strict=False))
        except ValueError:
            return None
    return tuple(found)


def words(text: str) -> tuple[str, ...]:
    """The parts of a list that commas separate."""
    return tuple(part for item in text.split(",") if (part := item.strip()))
