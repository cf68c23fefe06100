"""Which server and which location take a request.

Source: `ngx_http_find_virtual_server`, `ngx_http_core_find_location` of nginx; `buildServerName`, `buildLocation` of
ingress-nginx' template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .expressions import Expressions
from .servers import DEFAULT_SERVER, Location, Server


def host_of(authority: str) -> str | None:
    """`$host`: in lower case, without port and without a full stop at its end; None: nginx answers 400."""
    if authority.startswith("["):
        host, bracket, _ = authority.partition("]")
        return f"{host}]".lower() if bracket else None
    host = authority.partition(":")[0].lower().removesuffix(".")
    return host if host and not re.search(r"[\x00-\x20/]|\.\.", host) else None


class Names:
    """Servers by the names of requests' hosts."""

    def __init__(self, servers: Iterable[Server], search: Expressions) -> None:
        """Take all servers, of which one is the default one."""
        self._search = search
        ordered = sorted(servers, key=lambda item: item.name)
        self._exact = {item.name: item for item in ordered if not item.name.startswith("*")}
        self._wildcards = {item.name: item for item in ordered if item.name.startswith("*")}
        aliases = [(alias, item) for item in ordered for alias in item.aliases]
        for alias, item in aliases:
            self._exact.setdefault(alias, item)
        wide = [(alias[1:], item) for alias, item in aliases if alias.startswith("*.")]
        self._wide = sorted(wide, key=lambda pair: -len(pair[0]))
        self._expressions = [(alias[1:], item) for alias, item in aliases if alias.startswith("~")]

    def find(self, host: str) -> Server:
        """The server of a host: an exact name, then wildcards of aliases, then those of Ingresses, of one label."""
        found = self._exact.get(host) if host != DEFAULT_SERVER else None
        if found is None:
            found = next((item for end, item in self._wide if host.endswith(end)), None)
        label, _, rest = host.partition(".")
        if found is None and re.fullmatch(r"[\w-]+", label, re.ASCII):
            found = self._wildcards.get(f"*.{rest}")
        return found or self._by_expression(host) or self._exact[DEFAULT_SERVER]

    def _by_expression(self, host: str) -> Server | None:
        for pattern, item in self._expressions:
            if self._search.find(pattern, host, ignores_case=True):
                return item
        return None


def find_location(server: Server, path: str, expressions: Expressions) -> tuple[Location | None, bool]:
    """The location of a path, and whether the request is only sent to it by 301, for want of a `/` at the end."""
    if server.regex:
        for item in server.locations:
            if expressions.find(f"^{item.path}", path, ignores_case=True):
                return item, False
        return None, False
    exact = next((item for item in server.locations if item.exact and item.path == path), None)
    if exact is not None:
        return exact, False
    prefixes = [item for item in server.locations if not item.exact and path.startswith(item.path)]
    longest = max(prefixes, key=lambda item: len(item.path), default=None)
    if longest is None or longest.path != path:
        slashed = next((item for item in server.locations if item.path == f"{path}/" and _proxies(item)), None)
        if slashed is not None:
            return slashed, True
    return longest, False


def rewritten(location: Location, path: str, target: str, expressions: Expressions) -> tuple[str, str | None] | None:
    """`rewrite "(?i)PATH" TARGET`: path and query that the target comes to; None: the path does not match.

    A `?` that a group matched is one of the path.
    """
    found = expressions.find(location.path, path, ignores_case=True)
    if found is None:
        return None

    def group(name: re.Match[str]) -> str:
        number = int(name[1])
        return (found.groups[number] or "") if len(found.groups) > number else ""

    target, mark, query = target.partition("?")
    made, asked = (re.sub(r"\$\{?([0-9])\}?", group, text) for text in (target, query))
    return made, asked if mark else None


def _proxies(location: Location) -> bool:
    """Whether it asks a backend: for want of a `/` only such locations send requests to themselves."""
    return location.upstream is not None and not location.rules.denied
