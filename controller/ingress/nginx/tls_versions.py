"""Versions of TLS, as nginx calls them."""

from __future__ import annotations

from typing import Literal

#: Those that are spoken here.
VERSIONS: dict[str, Literal["1.2", "1.3"]] = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}
#: Those that are not, any more.
OLDER = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})
