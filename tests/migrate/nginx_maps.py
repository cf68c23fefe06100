"""What Lua does in the template of ingress-nginx, or `more_set_headers` in an `if`, by maps of nginx: canaries, CORS.

Source: `route_to_alternative_balancer` of `balancer.lua`; the template `CORS` and `buildCorsOriginRegex`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nginx_annotations import Annotations
from nginx_site import Upstream

_METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
_HEADERS = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
#: What `*` of an origin stands for.
_LABEL = r"[A-Za-z0-9\-]+"
_SAID = '"~^always$" 1; "~^never$" 0;'


@dataclass
class Maps:
    """Lines that stand before the servers; names in them end with the number of a location."""

    lines: list[str] = field(default_factory=list)

    def cors(self, annotations: Annotations, number: int) -> list[str]:
        """Write the maps of CORS; returns the lines of the location. A field without a value is not sent."""
        origins = annotations.words("cors-allow-origin") or ["*"]
        if "*" in origins:
            self.lines.append(f"map $scheme $cors_origin_{number} {{ default *; }}")
        else:
            patterns = "|".join(f"({re.escape(item).replace(re.escape('*'), _LABEL, 1)})" for item in origins)
            rows = f'"~*({patterns})$" $http_origin; default "";'
            self.lines.append(f"map $http_origin $cors_origin_{number} {{ {rows} }}")
        values = {
            "Allow-Credentials": "true" if annotations.flag("cors-allow-credentials", default=True) else "",
            "Allow-Methods": annotations.text("cors-allow-methods") or _METHODS,
            "Allow-Headers": annotations.text("cors-allow-headers") or _HEADERS,
            "Max-Age": annotations.text("cors-max-age") or "1728000",
            "Expose-Headers": annotations.text("cors-expose-headers"),
        }
        found = [f"add_header Access-Control-Allow-Origin $cors_origin_{number} always;"]
        for name, value in values.items():
            variable = f"$cors_{name.lower().replace('-', '_')}_{number}"
            self.lines.append(f'map $cors_origin_{number} {variable} {{ "" ""; default "{value}"; }}')
            found.append(f"add_header Access-Control-{name} {variable} always;")
        rows = '"~^OPTIONS ." 1; default "";'
        self.lines.append(f'map "$request_method $cors_origin_{number}" $preflight_{number} {{ {rows} }}')
        return [*found, f"if ($preflight_{number}) {{ return 204; }}"]

    def chosen(self, upstream: Upstream, number: int) -> str:
        """The upstream of a location, or the variable that says it where there is a canary: field, cookie, weight."""
        other = upstream.alternative
        if other is None or other.canary is None or not other.is_there:
            return upstream.name
        canary = other.canary
        chosen = self._weight(canary, number)
        cookie, header = canary.text("canary-by-cookie"), canary.text("canary-by-header")
        if cookie:
            chosen = self._decides(f"$cookie_{cookie}", _SAID, chosen, f"$by_cookie_{number}")
        if header:
            value, pattern = canary.text("canary-by-header-value"), canary.text("canary-by-header-pattern")
            rows = f'"~{quoted(pattern)}" 1;' if pattern else _SAID
            rows = f'"~^{quoted(re.escape(value))}$" 1;' if value else rows
            name = f"$http_{header.lower().replace('-', '_')}"
            chosen = self._decides(name, rows, chosen, f"$by_header_{number}")
        rows = f"1 {other.name}; default {upstream.name};"
        self.lines.append(f"map {chosen} $upstream_{number} {{ {rows} }}")
        return f"$upstream_{number}"

    def _decides(self, variable: str, rows: str, otherwise: str, name: str) -> str:
        self.lines.append(f"map {variable} {name} {{ {rows} default {otherwise}; }}")
        return name

    def _weight(self, canary: Annotations, number: int) -> str:
        total = max(int(canary.text("canary-weight-total", default="100")), 100)
        share = 100 * int(canary.text("canary-weight", default="0")) / total
        name = f"$by_weight_{number}"
        if 0 < share < 100:
            self.lines.append(f'split_clients "$request_id" {name} {{ {share:.2f}% 1; * 0; }}')
        else:
            self.lines.append(f"map $scheme {name} {{ default {int(share >= 100)}; }}")
        return name


def quoted(text: str) -> str:
    """A text between quotes: backslashes and quotes stand for themselves."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
