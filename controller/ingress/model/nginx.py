"""What ingress-nginx answers, phase by phase.

Source: `nginx.tmpl`, `lua_ingress.lua`, `certificate.lua`, `ngx_srv_redirect.lua`, `balancer.lua` of 1.15.1, and the
phases of nginx: certificate of the client, `if` and `return` of the server, location, `if` and `return` of the location
in their order, `rewrite`, Lua (redirect to https), limits, addresses and credentials, backend.
Backends are taken to be there and to answer; a service that is asked lets everybody in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ..probes.exchange import SAMPLE, Answer, Probe, Share, normal_url
from . import uri, written
from .expressions import Expressions, Search, TooCostlyError
from .matching import Names, find_location, host_of, rewritten
from .objects import Objects
from .rules import Rules
from .servers import Location, Server, Upstream, build

#: Fields that nginx sets or takes out by itself; those that say where a request came from are among them.
_OWN = re.compile(
    r"host|connection|upgrade|te|keep-alive|transfer-encoding|content-length|proxy|expect"
    r"|x-forwarded-(?:for|host|port|proto|scheme)|x-real-ip|x-request-id|x-scheme|x-original-.*",
    re.IGNORECASE,
)
#: Statuses that `return` sends elsewhere with; with any other the URL is the text of the answer.
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FIELD_NAME, _TOKEN = re.compile(r"[A-Za-z0-9-]+"), re.compile(r"[A-Za-z0-9_-]+")


class Model:
    """ingress-nginx with the Ingresses of a cluster.

    Attributes:
        refused: Ingresses that it does not take.
        expressions: looks for expressions of Ingresses.
    """

    def __init__(self, objects: Objects, search: Search, *, lenient: bool = False) -> None:
        """Take the objects, and what looks for expressions that `re` would take long of.

        Args:
            objects: what it serves.
            search: as of `Search`.
            lenient: also the Ingresses that it would refuse, without what costs them.
        """
        self.expressions = Expressions(search)
        self._objects = objects
        self._settings = written.Settings(objects.settings)
        self._site = build(objects, self._settings, lenient=lenient)
        self.refused = self._site.refused
        servers = self._site.servers.values()
        self._names = Names(servers, self.expressions)
        self._certified = {name for item in servers if item.certified for name in (item.name, *item.aliases)}
        self._certified |= {name for name, (_, certified) in self._site.redirects.items() if certified}

    def answer(self, probe: Probe) -> Answer:
        """What it does with a request."""
        host, target = host_of(probe.host), uri.read(probe.target)
        if host is None or target is None:
            return Answer(status=400, why="no host or no path")
        try:
            server = self._names.find(host)
            return self._answer_of(server, probe, host, target)
        except TooCostlyError as error:
            return Answer(status=500, why=f"an expression cannot be looked for: {error}")

    def _answer_of(self, server: Server, probe: Probe, host: str, target: uri.Uri) -> Answer:
        if host in self._site.redirects and server.name != host:
            return self._other_host(probe, self._site.redirects[host][0])
        root = next((item for item in server.locations if item.path == "/"), None)
        if server.passthrough and probe.scheme == "https" and root is not None and root.upstream is not None:
            # `TCPProxy` goes to the address of the Service: no canary takes a part.
            shares = (Share(root.upstream.backend, 1.0),)
            return Answer(carried=True, backends=shares, server=server.name, place=root.place)
        return _Request(probe, host, target, server, self).answer()

    def _other_host(self, probe: Probe, to: str) -> Answer:
        """`ngx_srv_redirect.lua`: one `/` at the end is taken off."""
        path = probe.target.removesuffix("/")
        scheme = self.scheme(probe)
        code = self._settings.redirect_code
        return Answer(status=code, location=normal_url(f"{scheme}://{to}{path}"), server=to, why="www")

    def scheme(self, probe: Probe) -> str:
        """`$pass_access_scheme`."""
        if self._settings.flag("use-forwarded-headers", default=False):
            return probe.field("x-forwarded-proto") or probe.scheme
        return probe.scheme

    def certified(self, host: str) -> bool:
        """`certificate.configured_for_current_request`: the host has a certificate, or the wildcard above it has."""
        return host in self._certified or f"*.{host.partition('.')[2]}" in self._certified

    @property
    def settings(self) -> written.Settings:
        """The controller's."""
        return self._settings

    @property
    def tells_forwarding(self) -> bool:
        """Whether it says which fields tell backends where a request comes from."""
        return self._objects.forwarding

    def map_of(self, key: str) -> dict[str, str]:
        """The fields of the ConfigMap that a setting names."""
        namespace, _, name = self._settings.text(key).partition("/")
        found = self._objects.config_maps.get((namespace, name))
        return {key: str(value) for key, value in found.data.items()} if found is not None else {}


class _Request:
    """One request in one server."""

    def __init__(self, probe: Probe, host: str, target: uri.Uri, server: Server, model: Model) -> None:
        self._probe = probe
        self._host = host
        self._uri = target
        self._server = server
        self._model = model
        self._settings = model.settings
        self._location: Location | None = None

    def answer(self) -> Answer:
        server, probe = self._server, self._probe
        if server.client_error:
            return self._told(403, why="certificates of clients cannot be read")
        if server.client == "on" and probe.scheme == "https" and not probe.certificate:
            return self._told(400, why="no certificate of the client")
        if self._uri.path == "/":
            root = next((item.rules.app_root for item in server.locations if item.rules.app_root), "")
            if root:
                return self._told(302, f"{probe.scheme}://{probe.host}{root}")
        location, slash = find_location(server, self._uri.path, self._model.expressions)
        if location is None:
            return self._told(404)
        self._location = location
        if slash:
            query = f"?{self._uri.query}" if self._uri.query else ""
            origin = "" if location.rules.relative else f"{probe.scheme}://{self._host}"
            return self._told(301, f"{origin}{uri.write(self._uri.path)}/{query}")
        return self._rewrite(location)

    def _rewrite(self, location: Location) -> Answer:
        """The phase of `if`, `return` and `rewrite`, and Lua behind it."""
        rules, probe = location.rules, self._probe
        if rules.denied:
            return self._told(503, why="annotations that cannot be read")
        if rules.cors is not None and probe.method == "OPTIONS" and self._origin(rules) is not None:
            return self._told(204, fields=self._cors(rules, preflight=True))
        if rules.url:
            return self._told(rules.code, self._filled(rules.url) if rules.code in _REDIRECTS else "")
        target = probe.target
        if rules.target and location.path != rules.target:
            made = rewritten(location, self._uri.path, self._filled(rules.target), self._model.expressions)
            if made is not None and made[0].startswith(("http://", "https://")):
                return self._told(302, made[0] + _query(made[1], self._uri.query))
            if made is not None:
                target = uri.write(made[0]) + _query(made[1], self._uri.query)
        sent = self._to_https(location)
        if sent:
            return self._told(self._settings.redirect_code, sent)
        return self._access(location, target)

    def _to_https(self, location: Location) -> str:
        """`redirect_to_https`; empty: it stays."""
        rules = location.rules
        exempt = self._settings.text("no-tls-redirect-locations", "/.well-known/acme-challenge")
        if any(location.path.startswith(item) for item in written.words(exempt)):
            return ""
        if self._model.scheme(self._probe) != "http":
            return ""
        if not rules.force_ssl and not (rules.ssl_redirect and self._model.certified(self._host)):
            return ""
        target = self._probe.target if rules.keep_slash else self._probe.target.removesuffix("/")
        return f"https://{self._probe.host.partition(':')[0]}{target or '/'}"

    def _access(self, location: Location, target: str) -> Answer:
        """Limits, addresses, credentials."""
        rules, client = location.rules, ipaddress.ip_address(self._probe.client)
        asked: list[str] = ["snippet"] if rules.snippet else []
        basic, external = (part and not self._is_open(location) for part in (rules.basic, rules.external))
        listed = bool(rules.allowed or rules.blocked)
        inside = not any(client in item for item in rules.blocked)
        inside = inside and (not rules.allowed or any(client in item for item in rules.allowed))
        exempt = listed and inside and rules.any_suffices
        # Those of all hosts hold where a location has no list of its own.
        everywhere = written.networks(self._settings.text("block-cidrs")) or ()
        if not listed and any(client in item for item in everywhere):
            return self._told(403, why="address")
        if listed and not inside and not (rules.any_suffices and (basic or external)):
            return self._told(403, why="address")
        vouched = rules.any_suffices and external
        if basic and not exempt and not vouched and not self._probe.user:
            return self._told(401, why="password")
        if external and not exempt:
            asked.append("external")
        if rules.limited and not any(client in item for item in rules.unlimited):
            asked.append("limits")
        return self._backend(location, target, tuple(sorted(asked)))

    def _is_open(self, location: Location) -> bool:
        """Whether nobody is asked for credentials, whatever the Ingress says (`no-auth-locations`)."""
        paths = self._settings.text("no-auth-locations", "/.well-known/acme-challenge")
        return any(location.path.startswith(item) for item in written.words(paths))

    def _backend(self, location: Location, target: str, asked: tuple[str, ...]) -> Answer:
        rules, upstream = location.rules, location.upstream
        if upstream is None:
            return self._told(404)
        if not upstream.backend:
            return self._told(503, why="no endpoint")
        return Answer(
            fields=self._fields(dict(SAMPLE), rules),
            backends=_shares(upstream, self._probe, self._model.expressions),
            target=target,
            authority=self._filled(rules.host) or self._probe.host,
            sent=self._sent(location),
            mirrored=rules.mirrored,
            asked=asked,
            server=self._server.name,
            place=location.place,
        )

    def _sent(self, location: Location) -> dict[str, str]:
        """Fields that the backend gets."""
        rules = location.rules
        odd = self._settings.flag("enable-underscores-in-headers", default=False)
        strict = self._settings.flag("ignore-invalid-headers", default=True)
        found = {
            name.lower(): value
            for name, value in self._probe.headers
            if not _OWN.fullmatch(name)
            and not (strict and not _FIELD_NAME.fullmatch(name.replace("_", "") if odd else name))
            and not (rules.basic and not self._is_open(location) and name.lower() == "authorization")
        }
        if rules.prefix and rules.target and rules.target != location.path:
            found["x-forwarded-prefix"] = rules.prefix
        if self._model.tells_forwarding:
            scheme = self._model.scheme(self._probe)
            found["x-real-ip"] = self._probe.client
            found["x-forwarded-port"] = {"https": "443"}.get(self._probe.scheme, "80")
            found["x-forwarded-scheme"] = found["x-scheme"] = scheme
        for name, value in self._model.map_of("proxy-set-headers").items():
            if _TOKEN.fullmatch(name):  # nginx would not begin with any other
                found[name.lower()] = self._filled(value)
        return {name: value for name, value in found.items() if value}

    def _told(self, status: int, location: str = "", *, why: str = "", fields: dict[str, str] | None = None) -> Answer:
        """An answer of nginx itself."""
        place = self._location.place if self._location is not None else ("", "")
        rules = self._location.rules if self._location is not None else Rules()
        told = self._fields(fields or {}, rules)
        return Answer(
            status=status, location=normal_url(location), fields=told, server=self._server.name, place=place, why=why
        )

    def _fields(self, found: dict[str, str], rules: Rules) -> dict[str, str]:
        """Fields of answers that configuration sets and takes out."""
        for name in written.words(self._settings.text("hide-headers")):
            found.pop(name.lower(), None)
        cors = rules.cors is not None and not rules.denied and self._probe.method != "OPTIONS"
        if cors and self._origin(rules) is not None:
            found |= self._cors(rules, preflight=False)
        for name, value in (*self._model.map_of("add-headers").items(), *rules.answered):
            found[name.lower()] = value
        # The template says it in locations alone: not in what a server answers before it has one.
        tls = self._probe.scheme == "https" and self._location is not None
        if tls and self._settings.flag("hsts", default=True):
            parts = [f"max-age={self._settings.number('hsts-max-age', 31_536_000)}"]
            parts += ["includeSubDomains"] if self._settings.flag("hsts-include-subdomains", default=True) else []
            parts += ["preload"] if self._settings.flag("hsts-preload", default=False) else []
            found["strict-transport-security"] = "; ".join(parts)
        return found

    def _origin(self, rules: Rules) -> str | None:
        return rules.cors.allows(self._probe.field("origin")) if rules.cors is not None else None

    def _cors(self, rules: Rules, *, preflight: bool) -> dict[str, str]:
        """The template `CORS`; a response that is no preflight has methods, headers and age too, which nobody reads."""
        cors = rules.cors
        if cors is None:
            return {}
        found = {"access-control-allow-origin": self._origin(rules) or ""}
        found |= {"access-control-allow-credentials": "true"} if cors.credentials else {}
        found |= {"access-control-expose-headers": cors.exposed} if cors.exposed else {}
        if preflight:
            found["access-control-allow-methods"] = cors.methods
            found["access-control-allow-headers"] = cors.headers
            found["access-control-max-age"] = str(cors.max_age)
        return found

    def _filled(self, url: str) -> str:
        """A URL with the variables that people use."""
        values = {
            "request_uri": self._probe.target, "http_host": self._probe.host, "host": self._host,
            "scheme": self._probe.scheme, "uri": self._uri.path, "args": self._uri.query,
            "server_name": self._server.name, **self._of_location(),
        }  # fmt: skip
        return re.sub(r"\$\{?([a-z_]+)\}?", lambda found: values.get(found[1], ""), url)

    def _of_location(self) -> dict[str, str]:
        """What the template sets for a location: its Ingress, and the port of the Service as the Ingress names it."""
        location = self._location
        if location is None:
            return {}
        _, namespace, name = (*location.place[0].split("/"), "", "")[:3]
        service, _, port = (location.upstream.named if location.upstream is not None else "").partition(":")
        return {"namespace": namespace, "ingress_name": name, "service_name": service, "service_port": port}


def _query(own: str | None, asked: str) -> str:
    """The query of a target that was rewritten: its own, then that of the request, unless it ends in a bare `?`."""
    parts = [own or "", "" if own == "" else asked]
    return "?" + "&".join(filter(None, parts)) if any(parts) else ""


def _shares(upstream: Upstream, probe: Probe, expressions: Expressions) -> tuple[Share, ...]:
    """`route_to_alternative_balancer`: who gets how much; only the first canary counts."""
    other = upstream.alternatives[0] if upstream.alternatives else None
    policy = other.policy if other is not None else None
    if other is None or policy is None:
        return (Share(upstream.backend, 1.0),)
    decided = _decided(policy.header, policy.value, policy.pattern, policy.cookie, probe, expressions)
    part = min(max(policy.weight, 0) / policy.total, 1.0) if decided is None else float(decided)
    if other.backend == upstream.backend:
        return (Share(upstream.backend, 1.0),)
    shares = ((upstream.backend, 1 - part), (other.backend, part))
    return tuple(sorted(Share(name, round(share, 4)) for name, share in shares if share > 0))


def _decided(header: str, value: str, pattern: str, cookie: str, probe: Probe, expressions: Expressions) -> bool | None:
    """What a field or a cookie says; None: neither says anything."""
    written_field = probe.field(header) if header else None
    if written_field is not None:
        if value:
            if written_field == value:
                return True
        elif pattern:
            if expressions.find(pattern, written_field, ignores_case=False):
                return True
        elif written_field in {"always", "never"}:
            return written_field == "always"
    found = _cookie(probe.field("cookie") or "", cookie) if cookie else None
    return found == "always" if found in {"always", "never"} else None


def _cookie(text: str, name: str) -> str | None:
    """`$cookie_NAME`."""
    pairs: Iterable[tuple[str, str, str]] = (item.strip().partition("=") for item in text.split(";"))
    return next((value for key, _, value in pairs if key == name), None)
