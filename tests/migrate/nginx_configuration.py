"""The configuration of nginx that ingress-nginx 1.15 would write for a site, as far as one request can tell.

Source: `rootfs/etc/nginx/template/nginx.tmpl`, `template.go`, `lua_ingress.lua`. What is Lua there is said by nginx
itself here: canaries by maps (`nginx_maps`), the redirect to https by `return` where Lua would come, that is behind
other `return`s and before addresses and passwords. So any nginx does, and it needs no modules.

Left out, since no answer of one request shows it: limits, times, buffers, retries, sessions, copies, pages for errors;
and certificates of clients, and backends that speak TLS or gRPC.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nginx_annotations import Annotations
from nginx_maps import Maps, quoted
from nginx_site import DEFAULT_SERVER, Location, Server, Site, Upstream

_FIELD = re.compile(r"[A-Za-z0-9_-]+")
_EXEMPT = "/.well-known/acme-challenge"


@dataclass(frozen=True)
class Place:
    """Where it runs.

    Attributes:
        folder: for files.
        address: that it binds.
        http, https: ports.
        certificate: paths of the certificate and key of all hosts.
        backends: address and port of each `namespace/service:port`.
        authoriser: address and port of whoever is asked who may.
        passwords: the file of every Secret with passwords.
    """

    folder: Path
    address: str
    http: int
    https: int
    certificate: tuple[str, str]
    backends: Mapping[str, tuple[str, int]]
    authoriser: tuple[str, int]
    passwords: str


def configuration(site: Site, place: Place) -> str:
    """The text of it."""
    return "".join(f"{line}\n" for line in _Writer(site, place).lines())


class _Writer:
    def __init__(self, site: Site, place: Place) -> None:
        self._site = site
        self._place = place
        self._maps = Maps()
        self._number = 0

    def lines(self) -> Iterator[str]:
        """All of it."""
        # Of two with one name nginx takes the first: `getBackendServers` sorts them.
        ordered = sorted(self._site.servers.values(), key=lambda server: server.name)
        servers = [line for server in ordered for line in self._server(server)]
        servers += [self._other_host(host, to) for host, to in self._site.redirects.items()]
        folder = self._place.folder
        yield "daemon off; master_process off;"
        yield f"pid {folder}/nginx.pid; error_log {folder}/nginx.log warn; events {{ worker_connections 512; }}"
        yield "http {"
        yield "access_log off; server_tokens off; server_name_in_redirect off; port_in_redirect off;"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            yield f"{kind}_temp_path {folder}/{kind};"
        yield "server_names_hash_bucket_size 256; map_hash_bucket_size 256; variables_hash_max_size 4096;"
        yield "real_ip_header proxy_protocol; set_real_ip_from 127.0.0.0/8;"
        yield from (f"deny {item};" for item in _words(self._setting("block-cidrs", "")))
        yield f"underscores_in_headers {self._on('enable-underscores-in-headers', 'false')};"
        yield f"ignore_invalid_headers {self._on('ignore-invalid-headers', 'true')};"
        yield "ssl_certificate {}; ssl_certificate_key {};".format(*self._place.certificate)
        yield "proxy_http_version 1.1; uninitialized_variable_warn off;"
        scheme = "$http_x_forwarded_proto" if self._is_on("use-forwarded-headers", "false") else "$scheme"
        yield f'map {scheme} $pass_scheme {{ "" $scheme; default {scheme}; }}'
        yield "map $pass_scheme $pass_port { https 443; default 80; }"
        yield 'map $request_uri $bare_uri { "~^(?<bare>.*)/$" $bare; default $request_uri; }'
        yield 'map $http_host $bare_host { "~^(?<name>[^:]*)" $name; default $http_host; }'
        yield f'map $scheme $transport {{ https "{self._hsts()}"; default ""; }}'
        yield f"upstream nobody {{ server unix:{folder}/nobody.sock; }}"
        yield f"server {{ listen unix:{folder}/nobody.sock; return 404; }}"
        yield from (self._upstream(item) for item in self._site.upstreams.values() if item.is_there)
        yield from self._maps.lines
        yield from servers
        yield "}"

    def _setting(self, key: str, default: str) -> str:
        return self._site.settings.get(key, default).strip()

    def _is_on(self, key: str, default: str) -> bool:
        text = self._setting(key, default).lower()
        return (text if text in {"true", "false"} else default) == "true"

    def _on(self, key: str, default: str) -> str:
        return "on" if self._is_on(key, default) else "off"

    def _hsts(self) -> str:
        if not self._is_on("hsts", "true"):
            return ""
        found = f"max-age={self._setting('hsts-max-age', '31536000')}"
        found += "; includeSubDomains" if self._is_on("hsts-include-subdomains", "true") else ""
        return found + ("; preload" if self._is_on("hsts-preload", "false") else "")

    def _upstream(self, upstream: Upstream) -> str:
        address, port = self._place.backends[upstream.backend]
        return f"upstream {upstream.name} {{ server {address}:{port}; }}"

    def _listen(self, default: str = "") -> str:
        place = self._place
        plain = f"listen {place.address}:{place.http} proxy_protocol{default};"
        return f"{plain} listen {place.address}:{place.https} ssl proxy_protocol{default};"

    def _other_host(self, host: str, to: str) -> str:
        """Of `from-to-www-redirect`: the port is always named."""
        answer = f"return {self._setting('http-redirect-code', '308')} $pass_scheme://{to}:$pass_port$bare_uri;"
        return f'server {{ {self._listen()} server_name "{host}"; {answer} }}'

    def _server(self, server: Server) -> Iterator[str]:
        default = " default_server" if server.name == DEFAULT_SERVER else ""
        names = " ".join(f'"{name}"' for name in (_server_name(server.name), *server.aliases))
        yield f"server {{ {self._listen(default)} server_name {names};"
        # Locations have fields of their own, which take the place of these.
        yield from (f'add_header {name} "{value}" always;' for name, value in self._map("add-headers").items())
        for location in server.locations:
            root = location.annotations.text("app-root")
            if root.startswith("/"):
                yield f"if ($uri = /) {{ return 302 $scheme://$http_host{root}; }}"
        for location in server.locations:
            self._number += 1
            yield from self._location(location, server, self._number)
        yield "}"

    def _location(self, location: Location, server: Server, number: int) -> Iterator[str]:
        """A location in the order of the template, and before it the one that asks who may."""
        annotations, upstream, external = location.annotations, location.upstream, self._is_external(location)
        if external:
            address, port = self._place.authoriser
            yield f"location = /_external_{number} {{ internal; proxy_pass_request_body off;"
            yield f'proxy_set_header Content-Length ""; proxy_pass http://{address}:{port}; }}'
        yield f"location {_modifier(location, server)} {{"
        yield from _variables(location)
        yield from self._answered(location)
        if self._is_denied(location):
            yield "return 503; }"
            return
        yield from self._addresses(location)
        yield from self._sent(location)
        if annotations.flag("enable-cors"):
            yield from self._maps.cors(annotations, number)
        if annotations.flag("relative-redirects") or self._setting("relative-redirects", "false") == "true":
            yield "absolute_redirect off;"
        yield from _redirect(annotations)
        rewrite = _rewrite(location)
        outside = re.search(r'" (?:https?:|\$scheme)', rewrite) is not None
        # A target outside is a redirect of its own, before Lua; any other one ends the phase, and Lua comes behind it.
        yield rewrite if outside else ""
        yield from self._to_https(location, server)
        if upstream is not None and not upstream.is_there:
            yield "return 503;"
        yield "" if outside else rewrite
        if external:
            yield f"auth_request /_external_{number};"
        yield from () if self._is_open(location) else self._password(annotations)
        if annotations.text("satisfy"):
            yield f"satisfy {annotations.text('satisfy')};"
        size = annotations.text("proxy-body-size", default=self._setting("proxy-body-size", "1m"))
        yield f"client_max_body_size {size};"
        there = upstream is not None and upstream.is_there
        yield f"proxy_pass http://{self._maps.chosen(upstream, number) if upstream and there else 'nobody'};"
        yield "}"

    def _words(self, location: Location, names: tuple[str, ...], key: str) -> list[str]:
        """A list of an Ingress, or that of the settings, which is not for paths that no Ingress has."""
        return location.annotations.words(*names) or (_words(self._setting(key, "")) if location.ingress else [])

    def _is_denied(self, location: Location) -> bool:
        """Whether annotations cannot be read that say who may, or which fields are answered."""
        annotations = location.annotations
        lists = ("allowlist-source-range", "whitelist-source-range", "denylist-source-range")
        own = self._site.config_maps.get(annotations.text("custom-headers"))
        allowed = _words(self._setting("global-allowed-response-headers", ""))
        odd = annotations.has("custom-headers") and (own is None or not {*own} <= {*allowed})
        odd |= annotations.has("auth-type") and not annotations.has("auth-secret")
        return odd or not all(map(_is_network, annotations.words(*lists[:2]) + annotations.words(lists[2])))

    def _addresses(self, location: Location) -> Iterator[str]:
        allowed = self._words(location, ("allowlist-source-range", "whitelist-source-range"), "whitelist-source-range")
        blocked = self._words(location, ("denylist-source-range",), "denylist-source-range")
        yield from (f"deny {item};" for item in blocked)
        yield from (f"allow {item};" for item in allowed)
        if allowed:
            yield "deny all;"

    def _sent(self, location: Location) -> Iterator[str]:
        """What the backend gets."""
        annotations = location.annotations
        host = annotations.text("upstream-vhost")
        yield f'proxy_set_header Host "{host}";' if host else "proxy_set_header Host $http_host;"
        yield 'proxy_set_header Connection ""; proxy_set_header Proxy "";'
        prefix = annotations.text("x-forwarded-prefix")
        if prefix and location.rewrites:
            yield f'proxy_set_header X-Forwarded-Prefix "{prefix}";'
        for name, value in self._map("proxy-set-headers").items():
            if not _FIELD.fullmatch(name):
                continue  # nginx would not take the configuration
            yield f'proxy_set_header {name} "{value}";'

    def _answered(self, location: Location) -> Iterator[str]:
        """What the client gets."""
        own = self._site.config_maps.get(location.annotations.text("custom-headers"), {})
        own = {} if self._is_denied(location) else own
        told = {**self._map("add-headers"), **own}
        # `more_set_headers` takes the place of what the backend says; `add_header` stands beside it.
        yield from (f"proxy_hide_header {name};" for name in (*_words(self._setting("hide-headers", "")), *told))
        yield from (f'add_header {name} "{value}" always;' for name, value in told.items())
        yield "add_header Strict-Transport-Security $transport always;"

    def _map(self, setting: str) -> dict[str, str]:
        return self._site.config_maps.get(self._setting(setting, ""), {})

    def _to_https(self, location: Location, server: Server) -> Iterator[str]:
        annotations = location.annotations
        exempt = _words(self._setting("no-tls-redirect-locations", _EXEMPT))
        wildcard = self._site.servers.get(f"*.{server.name.partition('.')[2]}")
        certified = server.certified or (wildcard is not None and wildcard.certified)
        wanted = annotations.flag("force-ssl-redirect", default=self._is_on("force-ssl-redirect", "false"))
        wanted |= certified and annotations.flag("ssl-redirect", default=self._is_on("ssl-redirect", "true"))
        if wanted and not any(location.path.startswith(item) for item in exempt):
            code = self._setting("http-redirect-code", "308")
            uri = "$request_uri" if annotations.flag("preserve-trailing-slash") else "$bare_uri"
            yield f"if ($pass_scheme = http) {{ return {code} https://$bare_host{uri}; }}"

    def _is_external(self, location: Location) -> bool:
        if self._is_open(location):
            return False
        everywhere = self._setting("global-auth-url", "") != ""
        own = location.annotations.text("auth-url") != ""
        return own or (everywhere and location.annotations.flag("enable-global-auth", default=True))

    def _is_open(self, location: Location) -> bool:
        exempt = _words(self._setting("no-auth-locations", _EXEMPT))
        return any(location.path.startswith(item) for item in exempt)

    def _password(self, annotations: Annotations) -> Iterator[str]:
        if not annotations.text("auth-type"):
            return
        # Digests are no module of nginx; without a password both answer 401.
        path = self._place.folder / "passwords"
        path.write_text(self._place.passwords)
        yield f'auth_basic "{annotations.text("auth-realm")}"; auth_basic_user_file {path};'
        yield 'proxy_set_header Authorization "";'


def _variables(location: Location) -> Iterator[str]:
    """Those that annotations may have in their values."""
    namespace, _, ingress = location.ingress.partition("/")
    service, _, port = (
        (location.upstream.backend if location.upstream is not None else "").partition("/")[2].partition(":")
    )
    values = {"namespace": namespace, "ingress_name": ingress, "service_name": service, "service_port": port}
    yield from (f'set ${name} "{value}";' for name, value in values.items())


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _redirect(annotations: Annotations) -> Iterator[str]:
    """A temporal one goes before a permanent one."""
    for kind, usual in (("temporal", "302"), ("permanent", "301")):
        url = annotations.text(f"{kind}-redirect")
        if url:
            yield f"return {annotations.text(f'{kind}-redirect-code', default=usual)} {url};"
            return


def _rewrite(location: Location) -> str:
    if not location.rewrites:
        return ""
    return f'rewrite "(?i){quoted(location.path)}" {location.annotations.text("rewrite-target")} break;'


def _modifier(location: Location, server: Server) -> str:
    path = quoted(location.path)
    if server.regex:
        return f'~* "^{path}"'
    return f'= "{path}"' if location.exact else f'"{path}"'


def _server_name(host: str) -> str:
    """A wildcard is one label."""
    if not host.startswith("*."):
        return host
    rest = host[2:].replace(".", r"\.")
    return rf"~^(?<subdomain>[\w-]+)\.{rest}$"


def _words(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
