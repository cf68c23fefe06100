"""The settings of F5's controller that change what its Ingresses mean: keys of its ConfigMap.

Source: `internal/configs/configmaps.go` of nginx/kubernetes-ingress.
"""

from __future__ import annotations

from ..kinds import BUFFERS, FIELDS, NUMBER, SECONDS, SIZE, choice, networks, words
from ..rows import SettingRow, setting_rows

_SNIPPET = "write what it does as filters and policies"

_ROWS: tuple[SettingRow, ...] = (
    ("+", "ssl-redirect", "true", "a redirect to https for every host with a certificate", ""),
    ("+", "http-redirect-code", "301", "`statusCode` of the redirects to https", ""),
    ("~", "redirect-to-https", "false", "a redirect to https for every host", ""),
    ("+", "hsts", "false", "`Strict-Transport-Security` of answers over TLS, by `ResponseHeaderModifier`", ""),
    ("+", "hsts-max-age", "2592000", "a part of `Strict-Transport-Security`", ""),
    ("+", "hsts-include-subdomains", "false", "a part of `Strict-Transport-Security`", ""),
    ("-", "hsts-behind-proxy", "false", "the field is in answers over TLS alone", "have the proxy in front say it"),
    ("+", "client-max-body-size", "1m", "ClientPolicy `body.maxSize` of the Gateway", ""),
    ("o", "client-body-buffer-size", "8k", "bodies are not written to disk", ""),
    ("+", "proxy-connect-timeout", "60s", "BackendPolicy `timeouts.connect` of every Service, where it is written", ""),
    ("~", "proxy-read-timeout", "60s", "BackendPolicy `timeouts.firstByte` of every Service, where it is written", ""),
    ("~", "proxy-send-timeout", "60s", "the engine's `stall_timeout_ms` holds", "GatewayParameters `stall_timeout_ms`"),
    ("~", "proxy-buffering", "true", "answers go on as they come", ""),
    ("o", "proxy-buffers", "8 4k", "heads of answers have room enough", ""),
    ("o", "proxy-buffer-size", "4k", "heads of answers have room enough", ""),
    ("o", "proxy-max-temp-file-size", "1024m", "nothing is written to disk", ""),
    ("+", "proxy-hide-headers", "", "`ResponseHeaderModifier.remove` of every rule", ""),
    ("o", "proxy-pass-headers", "", "fields of backends go on, but for those of a single connection", ""),
    ("+", "lb-method", "random two least_conn", "BackendPolicy `loadBalancing` of every Service, where it is written", ""),
    ("~", "max-fails", "1", "an endpoint whose connections fail is left alone for a while", "BackendPolicy `health`"),
    ("~", "fail-timeout", "10s", "an endpoint whose connections fail is left alone for a while", "BackendPolicy `health`"),
    ("o", "keepalive", "0", "connections are kept", ""),
    ("o", "server-tokens", "true", "the gateway says nothing of its version", ""),
    ("+", "proxy-protocol", "false", "ClientPolicy `clientAddress.proxyProtocol` of the Gateway", ""),
    ("+", "real-ip-header", "X-Real-IP", "`X-Forwarded-For`: ClientPolicy `clientAddress` of the Gateway", ""),
    ("+", "set-real-ip-from", "", "ClientPolicy `clientAddress.trustedProxies` of the Gateway", ""),
    ("o", "real-ip-recursive", "false", "all trusted proxies are passed over", ""),
    ("~", "http2", "true", "HTTP/2 is spoken to clients that can", ""),
    ("~", "ssl-protocols", "TLSv1.2 TLSv1.3", "TLS 1.2 and 1.3", "ClientPolicy `tls` chooses the versions"),
    ("-", "ssl-ciphers", "", "ciphers that are safe, and no others", ""),
    ("o", "worker-processes", "auto", "it tunes nginx", ""),
    ("o", "worker-connections", "1024", "it tunes nginx", ""),
    ("o", "log-format", "", "the access log is JSON", ""),
    ("o", "access-log-off", "false", "the access log is on where it is asked for", ""),
    ("-", "main-snippets", "", "configuration of nginx", _SNIPPET),
    ("-", "http-snippets", "", "configuration of nginx", _SNIPPET),
    ("-", "server-snippets", "", "configuration of nginx", _SNIPPET),
    ("-", "location-snippets", "", "configuration of nginx", _SNIPPET),
)  # fmt: skip

#: What is of a kind, as far as it is read or told.
_KINDS = {
    NUMBER: "hsts-max-age max-fails keepalive worker-connections",
    SIZE: "client-max-body-size client-body-buffer-size proxy-buffer-size proxy-max-temp-file-size",
    BUFFERS: "proxy-buffers",
    SECONDS: "proxy-connect-timeout proxy-read-timeout proxy-send-timeout fail-timeout",
    FIELDS: "proxy-hide-headers proxy-pass-headers",
    choice("301", "302", "307", "308"): "http-redirect-code",
    networks(): "set-real-ip-from",
    words("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"): "ssl-protocols",
}

SETTINGS = setting_rows(_ROWS, _KINDS)
