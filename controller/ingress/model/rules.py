"""What the annotations of an Ingress ask of its locations, as ingress-nginx 1.15 parses them.

Source: `internal/ingress/annotations/*`. What needs an answer of a backend, a clock or a count is not here, but for
that it has a say (`limited`, `external`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...api.ingress import Ingress
from . import written
from .objects import Objects
from .written import DeniedLocationError, Network, RefusedIngressError, Settings, Written

#: Annotations of the risk `Critical`: one of them costs the whole Ingress where the controller takes less.
_CRITICAL = ("configuration-snippet", "server-snippet", "auth-snippet", "stream-snippet", "modsecurity-snippet")
_ORIGIN = re.compile(r"(?:[a-z]+://(?:\*\.)?[A-Za-z0-9\-.]*(?::\d+)?|\*|null)?", re.ASCII)
#: `([A-Za-z]+,?\s?)+` and `(([A-Za-z0-9\-_]+|\*),?\s?)+` there; here with one way to read a text.
_METHODS = re.compile(r"[A-Za-z]+(?:(?:,\s?|\s)[A-Za-z]+)*(?:,\s?|\s)?")
_EXPOSED = re.compile(r"[A-Za-z0-9\-_*]+(?:(?:,\s?|\s)[A-Za-z0-9\-_*]+)*(?:,\s?|\s)?")
_VERIFY = ("on", "off", "optional", "optional_no_ca")
_DEFAULT_METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
_DEFAULT_HEADERS = (
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
)


@dataclass(frozen=True, slots=True)
class Cors:
    """`cors.Config`, where it is enabled."""

    origins: tuple[str, ...]
    methods: str
    headers: str
    exposed: str
    credentials: bool
    max_age: int

    def allows(self, origin: str | None) -> str | None:
        """What `$http_origin` is where the origin is allowed (`buildCorsOriginRegex`); None: it is not."""
        if self.origins == ("*",):
            return "*"
        patterns = [re.escape(item).replace(r"\*", r"[A-Za-z0-9\-]+", 1) for item in self.origins]
        found = re.search(f"(?:{'|'.join(f'({item})' for item in patterns)})$", origin or "", re.IGNORECASE)
        return origin if patterns and found is not None else None


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """`TrafficShapingPolicy`."""

    weight: int
    total: int
    header: str
    value: str
    pattern: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for the locations of an Ingress.

    Attributes:
        denied: they answer 503.
        target: `rewrite-target`.
        regex: `use-regex`.
        app_root, ssl_redirect, force_ssl, keep_slash: `rewrite.Config`.
        relative: whether the redirect to a path with its `/` says the path alone.
        url, code: `redirect.Config`; an empty URL: none.
        www: `from-to-www-redirect`.
        allowed, blocked, any_suffices: addresses, and `satisfy`.
        basic: whether a password is asked for.
        external: whether a service is asked, and signs people in where it is not content.
        sign_in: where that is.
        host: `upstream-vhost`.
        prefix: `x-forwarded-prefix`.
        answered: `custom-headers`.
        mirrored: whether there is a `mirror-target`.
        limited, unlimited: whether there is a limit, and whom it is not for.
        aliases: `server-alias`.
        passthrough: `ssl-passthrough`.
        canary: None: it is none.
        client: `auth-tls-verify-client`; empty: no certificate is asked for.
        client_error: `auth-tls-*` cannot be read: the whole server answers 403.
        snippet: nginx does more than a model knows.
    """

    denied: bool = False
    target: str = ""
    regex: bool = False
    app_root: str = ""
    ssl_redirect: bool = False
    force_ssl: bool = False
    keep_slash: bool = False
    relative: bool = False
    url: str = ""
    code: int = 0
    www: bool = False
    allowed: tuple[Network, ...] = ()
    blocked: tuple[Network, ...] = ()
    any_suffices: bool = False
    basic: bool = False
    external: bool = False
    sign_in: bool = False
    host: str = ""
    prefix: str = ""
    answered: tuple[tuple[str, str], ...] = ()
    mirrored: bool = False
    limited: bool = False
    unlimited: tuple[Network, ...] = ()
    cors: Cors | None = None
    aliases: tuple[str, ...] = ()
    passthrough: bool = False
    canary: CanaryPolicy | None = None
    client: str = ""
    client_error: bool = False
    snippet: bool = False


def read(ingress: Ingress, objects: Objects, settings: Settings, *, lenient: bool = False) -> Rules:
    """Parse the annotations of an Ingress; `lenient`: as if it were taken whatever they say.

    Raises:
        RefusedIngressError: the controller gives the Ingress up.
    """
    found, namespace = Written(ingress, lenient=lenient), ingress.namespace
    critical = lenient or settings.text("annotations-risk-level", "High") == "Critical"
    if not critical and any(found.has(name) for name in _CRITICAL):
        raise RefusedIngressError("a snippet")
    url, code, www = _redirect(found)
    parts = {
        "target": found.text("rewrite-target", written.PATH_WITH_CAPTURE),
        "regex": found.flag("use-regex"),
        "app_root": _app_root(found),
        "ssl_redirect": found.flag("ssl-redirect", default=settings.flag("ssl-redirect", default=True)),
        "force_ssl": found.flag("force-ssl-redirect", default=settings.flag("force-ssl-redirect", default=False)),
        "keep_slash": found.flag("preserve-trailing-slash"),
        "relative": found.flag("relative-redirects", otherwise=RefusedIngressError)
        or settings.flag("relative-redirects", default=False),
        "url": url,
        "code": code,
        "www": www,
        "host": found.text("upstream-vhost", written.SERVER_NAME),
        "prefix": found.text("x-forwarded-prefix", written.PATH_WITH_CAPTURE),
        "mirrored": bool(found.text("mirror-target")),
        "cors": _cors(found),
        "aliases": _aliases(found),
        "passthrough": found.flag("ssl-passthrough"),
        "canary": _canary(found),
        "snippet": (lenient or settings.flag("allow-snippet-annotations", default=False))
        and any(found.has(name) for name in _CRITICAL),
    }
    parts |= _limits(found)
    try:
        parts |= _addresses(found, settings) | _credentials(found, settings, namespace)
        parts["answered"] = _answered(found, objects, settings)
        parts |= _client(found, settings, namespace)
    except DeniedLocationError as error:
        parts |= {"denied": True, "client_error": str(error).startswith("auth-tls")}
    return Rules(**parts)  # type: ignore[arg-type] # each part is of the field that it is named as


def _redirect(found: Written) -> tuple[str, int, bool]:
    """`redirect.Parse`: a temporal one goes before a permanent one; what is no flag or number costs the Ingress."""
    www = found.flag("from-to-www-redirect", otherwise=RefusedIngressError)
    url = found.text("temporal-redirect", written.URL, otherwise=RefusedIngressError)
    if url:
        code = found.number("temporal-redirect-code", otherwise=RefusedIngressError)
        if not urlsplit(url).scheme.startswith("http"):
            return "", 0, False
        return url, code if 300 <= code <= 307 else 302, www
    url = found.text("permanent-redirect", written.URL, otherwise=RefusedIngressError)
    code = found.number("permanent-redirect-code", otherwise=RefusedIngressError)
    return url, code if 300 <= code <= 308 else 301, www


def _aliases(found: Written) -> tuple[str, ...]:
    """`alias.Parse`: one name that is none spoils all. nginx takes names of servers in lower case."""
    names = written.words(found.text("server-alias").lower())
    return tuple(sorted(set(names))) if all(written.SERVER_NAME.fullmatch(name) for name in names) else ()


def _app_root(found: Written) -> str:
    """`rewrite.Parse`: a path, `url.ParseRequestURI` says."""
    text = found.text("app-root", written.PATH_WITH_CAPTURE)
    return text if text.startswith("/") else ""


def _cors(found: Written) -> Cors | None:
    if not found.flag("enable-cors"):
        return None
    text = found.text("cors-allow-origin")
    origins = tuple(item for item in written.words(text) if _ORIGIN.fullmatch(item)) if text else ("*",)
    headers, methods = found.text("cors-allow-headers"), found.text("cors-allow-methods")
    exposed = found.text("cors-expose-headers")
    return Cors(
        origins=("*",) if "*" in origins else origins,
        methods=methods if _METHODS.fullmatch(methods) else _DEFAULT_METHODS,
        headers=headers if headers and written.NAMES.fullmatch(headers) else _DEFAULT_HEADERS,
        exposed=exposed if _EXPOSED.fullmatch(exposed) else "",
        credentials=found.flag("cors-allow-credentials", default=True),
        max_age=found.number("cors-max-age", 1_728_000),
    )


def _canary(found: Written) -> CanaryPolicy | None:
    if not found.flag("canary"):
        return None
    total = found.number("canary-weight-total", 100)
    return CanaryPolicy(
        weight=found.number("canary-weight"),
        total=total if total > 100 else 100,
        header=found.text("canary-by-header", written.BASIC),
        value=found.text("canary-by-header-value", written.BASIC),
        pattern=found.text("canary-by-header-pattern", written.SERVER_NAME),
        cookie=found.text("canary-by-cookie", written.BASIC),
    )


def _limits(found: Written) -> dict[str, object]:
    limits = [
        found.number(name, otherwise=RefusedIngressError) for name in ("limit-rps", "limit-rpm", "limit-connections")
    ]
    text = found.text("limit-allowlist", written.ANY, "limit-whitelist")
    blocks = written.networks(text) if text else ()
    return {"limited": any(item > 0 for item in limits), "unlimited": blocks or ()}


def _addresses(found: Written, settings: Settings) -> dict[str, object]:
    lists: dict[str, object] = {}
    for part, name, alias, key in (
        ("allowed", "allowlist-source-range", "whitelist-source-range", "whitelist-source-range"),
        ("blocked", "denylist-source-range", "denylist-source-range", "denylist-source-range"),
    ):
        text = found.text(name, written.ANY, alias)
        blocks = written.networks(text) if text else ()
        if blocks is None:
            raise DeniedLocationError(name)
        lists[part] = blocks if text else written.networks(settings.text(key)) or ()
    lists["any_suffices"] = found.text("satisfy") == "any"
    return lists


def _credentials(found: Written, settings: Settings, namespace: str) -> dict[str, object]:
    """`auth.Parse`, `authreq.Parse`, `authreqglobal.Parse`. A Secret that is not known is taken to be there."""
    parts: dict[str, object] = {}
    kind = found.text("auth-type")
    if kind:
        secret, form = found.text("auth-secret"), found.text("auth-secret-type") or "auth-file"
        own = secret.rpartition("/")[0] in {"", namespace}
        foreign = settings.flag("allow-cross-namespace-resources", default=False)
        readable = bool(secret) and (own or foreign) and form in {"auth-file", "auth-map"}
        if not re.search("basic|digest", kind) or not readable:
            raise DeniedLocationError("auth-type")
        parts["basic"] = True
    url = found.text("auth-url", written.URL_WITH_VARIABLES, otherwise=RefusedIngressError)
    if url:
        asked = urlsplit(url)
        if not asked.scheme or not asked.netloc:
            raise DeniedLocationError("auth-url")
        return parts | {"external": True, "sign_in": bool(found.text("auth-signin"))}
    everywhere = settings.text("global-auth-url")
    if everywhere and found.flag("enable-global-auth", default=True):
        parts |= {"external": True, "sign_in": bool(settings.text("global-auth-signin"))}
    return parts


def _answered(found: Written, objects: Objects, settings: Settings) -> tuple[tuple[str, str], ...]:
    """`customheaders.Parse`: one field that is not allowed closes the location."""
    name = found.text("custom-headers")
    if not name:
        return ()
    namespace, _, own = name.rpartition("/")
    data = objects.config_maps.get((namespace, own))
    allowed = written.words(settings.text("global-allowed-response-headers"))
    if data is None or any(key not in allowed for key in data.data):
        raise DeniedLocationError("custom-headers")
    return tuple((key, str(value)) for key, value in sorted(data.data.items()))


def _client(found: Written, settings: Settings, namespace: str) -> dict[str, object]:
    """`authtls.Parse`. A Secret that is not known is taken to be there, with a `ca.crt`."""
    secret = found.text("auth-tls-secret")
    if not secret:
        return {}
    own = secret.rpartition("/")[0] == namespace or settings.flag("allow-cross-namespace-resources", default=False)
    if "/" not in secret or not own:
        raise DeniedLocationError("auth-tls-secret")
    mode = found.text("auth-tls-verify-client")
    return {"client": mode if mode in _VERIFY else "on"}
