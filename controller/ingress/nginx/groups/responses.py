"""What backends say of where they are.

Source: `proxy_redirect`, `proxy_cookie_domain`, `proxy_cookie_path` of nginx.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, ResponseRewrite
from ...reading import Reading

#: Characters of a text that is replaced, and of what stands in its place.
_MAX_URL, _MAX_DOMAIN = 1024, 253

Pairs = tuple[tuple[str, str], ...]


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    start, end = reading.text("proxy-redirect-from"), reading.text("proxy-redirect-to")
    locations: Pairs = ()
    if start in {"off", "default"} or not (start and end):
        for name in ("proxy-redirect-from", "proxy-redirect-to"):
            reading.tell(name, "converted", "the gateway changes nothing by itself")
    elif _is_plain(start, end, _MAX_URL):
        locations = ((start, end),)
    else:
        for name in ("proxy-redirect-from", "proxy-redirect-to"):
            message = "expressions, variables of nginx and texts of more than 1,024 characters have no place here"
            reading.tell(name, "no-equivalent", message, "write the beginning of the URL itself")
    domains, paths = _pair(reading, "proxy-cookie-domain", _MAX_DOMAIN), _pair(reading, "proxy-cookie-path", _MAX_URL)
    if locations or domains or paths:
        names = ("proxy-redirect-from", "proxy-redirect-to", "proxy-cookie-domain", "proxy-cookie-path")
        yield ResponseRewrite(causes=reading.causes(*names), locations=locations, domains=domains, paths=paths)


def _pair(reading: Reading, name: str, longest: int) -> Pairs:
    written = reading.text(name)
    parts = written.split()
    if not written or written == "off":
        return ()
    if len(parts) == 2 and _is_plain(parts[0], parts[1], longest):
        return ((parts[0], parts[1]),)
    if ";" in written and name == "proxy-cookie-path":
        # Such as `/ "/; Secure; SameSite=None"`: what the text replaced was more than the path.
        message = "ingress-nginx 1.15 refuses the `;` of attributes, and changes nothing: nor is anything changed here"
        remedy = "HTTPFilter `rewrite.response.cookies[]` has `path`, `secure`, `httpOnly` and `sameSite`"
        reading.tell(name, "invalid", message, remedy)
        return ()
    message = "two texts are expected, what is replaced and by what, without expressions and variables"
    reading.tell(name, "no-equivalent", message, "write them out")
    return ()


def _is_plain(start: str, end: str, longest: int) -> bool:
    fits = (start + end).isprintable() and max(len(start), len(end)) <= longest
    return fits and not start.startswith("~") and "$" not in start + end
