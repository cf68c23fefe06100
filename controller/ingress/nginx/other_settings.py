"""Further settings of ingress-nginx: keys of its ConfigMap that no conversion reads, all of them.

Source: `docs/user-guide/nginx-configuration/configmap.md`, `internal/ingress/controller/config/config.go` and
`internal/ingress/defaults/main.go` of 1.15.1; the last group is of older versions.
"""

from __future__ import annotations

from ..kinds import NUMBER
from ..rows import SettingRow

_OTEL = "a policy says it: `enable-opentelemetry` says so"
_LOG = "the access log is JSON"
_FIREWALL = ("-", "no firewall", "put one in front")
_BANDWIDTH = ("-", "no limit of bandwidth", "limit it where the network is")
_OF_AN_INGRESS = ("-", "it is made of the annotation alone", "write the annotation of the same name")
_STREAMS = "it is for the ports of `tcp-services` and `udp-services`, which no Ingress has"

#: Fate, words, advice; keys with their defaults, each after its `=` where it is a word.
_GROUPS: tuple[tuple[tuple[str, str, str], str], ...] = (
    (
        ("o", "it tunes nginx", ""),
        "enable-multi-accept=true max-worker-open-files=0 map-hash-bucket-size=64 proxy-headers-hash-max-size=512"
        " proxy-headers-hash-bucket-size=64 reuse-port=true ssl-session-cache=true ssl-session-cache-size=10m"
        " ssl-session-timeout=10m ssl-buffer-size=4k enable-aio-write=true worker-cpu-affinity"
        " enable-serial-reloads=false variables-hash-bucket-size=256 variables-hash-max-size=2048 lua-shared-dicts"
        " debug-connections grpc-buffer-size-kb=0 proxy-busy-buffers-size proxy-max-temp-file-size=1024m",
    ),
    (
        ("o", _LOG, ""),
        "access-log-params access-log-path=/var/log/nginx/access.log http-access-log-path stream-access-log-path"
        " log-format-escape-none=false log-format-escape-json=false log-format-stream"
        " error-log-path=/var/log/nginx/error.log error-log-level=notice enable-syslog=false syslog-host"
        " syslog-port=514 disable-http-access-log=false disable-stream-access-log=false",
    ),
    (
        ("o", "the access log is on where it is asked for", ""),
        "enable-access-log-for-default-backend=false enable-auth-access-log=false",
    ),
    (("-", "the access log has every URL", "leave them out where the log is read"), "skip-access-log-urls"),
    (
        ("o", "answers are not compressed: `use-gzip` and `enable-brotli` say so", ""),
        "gzip-disable gzip-level=1 gzip-min-length=256 gzip-types brotli-level=4 brotli-min-length=20 brotli-types",
    ),
    (("~", "the engine's own time holds", "ClientPolicy `timeouts.head`"), "client-header-timeout=60"),
    (("~", "the engine's own time holds", "ClientPolicy `timeouts.request`"), "client-body-timeout=60"),
    (("~", "the engine's own time holds", ""), "proxy-protocol-header-timeout=5s"),
    (("~", "HTTP/2 is spoken to clients that can", ""), "use-http2=true"),
    (
        ("o", "nginx itself no longer has such a limit", ""),
        "http2-max-field-size http2-max-header-size http2-max-requests=0",
    ),
    (("-", "no OCSP responses are sent along", ""), "enable-ocsp=false"),
    (("o", "no Diffie-Hellman over finite fields is spoken", ""), "ssl-dh-param"),
    (("~", "the curves of the gateway hold", ""), "ssl-ecdh-curve=auto"),
    (("o", "clients get tickets, with keys that all pods share", ""), "ssl-session-ticket-key"),
    (("~", "no early data is taken", ""), "ssl-early-data=false"),
    (("o", "a BackendTLSPolicy is about a Service", ""), "proxy-ssl-location-only=false"),
    (
        ("~", "the gateway listens where its Service and its options say", ""),
        "disable-ipv6=false disable-ipv6-dns=false bind-address bind-address-ipv4 bind-address-ipv6",
    ),
    (
        ("o", "there is no status page of nginx", ""),
        "nginx-status-ipv4-whitelist=127.0.0.1 nginx-status-ipv6-whitelist=::1",
    ),
    (_FIREWALL, "modsecurity-snippet enable-owasp-modsecurity-crs=false"),
    (_BANDWIDTH, "limit-rate=0 limit-rate-after=0"),
    (("~", "a limit is by the address of the client", ""), "limit-conn-zone-variable=$binary_remote_addr"),
    (("~", "Ingresses with such words are converted all the same", "look for them"), "annotation-value-word-blocklist"),
    (
        ("-", "no country of a client is known", "have a proxy in front say it"),
        "use-geoip=true use-geoip2=false geoip2-autoreload-in-minutes=0",
    ),
    (("-", "it is not read", "have the proxies set `X-Forwarded-Host`"), "forwarded-host-header=X-Forwarded-Host"),
    (
        ("-", "no such field is set", "HTTPFilter `headers.request`"),
        "proxy-add-original-uri-header=false forwarded-for-proxy-protocol-header=X-Forwarded-For-Proxy-Protocol",
    ),
    (
        _OF_AN_INGRESS,
        "proxy-cookie-path=off proxy-cookie-domain=off proxy-redirect-from=off proxy-redirect-to=off app-root"
        " upstream-hash-by upstream-hash-by-subset=false upstream-hash-by-subset-size=3 use-port-in-redirects=false"
        " preserve-trailing-slash=false disable-proxy-intercept-errors=false",
    ),
    (("o", "HTTP/1.1", ""), "proxy-http-version=1.1"),
    (("o", "answers of backends say their media types", ""), "default-type=text/html"),
    (
        ("o", _OTEL, ""),
        "opentelemetry-operation-name opentelemetry-config otlp-collector-host otlp-collector-port=4317"
        " otel-max-queuesize=2048 otel-schedule-delay-millis=5000 otel-max-export-batch-size=512"
        " otel-service-name=nginx otel-sampler=AlwaysOn otel-sampler-parent-based=true otel-sampler-ratio=0.01",
    ),
    (
        ("o", _STREAMS, ""),
        "proxy-stream-timeout=600s proxy-stream-next-upstream=true proxy-stream-next-upstream-timeout=600s"
        " proxy-stream-next-upstream-tries=3 proxy-stream-responses=1",
    ),
    (("-", "configuration of nginx", "write TCPRoutes, TLSRoutes and UDPRoutes"), "stream-snippet"),
    (
        ("o", "a setting of older versions: 1.15 does not read it", "take it out"),
        "jaeger-collector-host jaeger-collector-port jaeger-endpoint jaeger-service-name jaeger-propagation-format"
        " jaeger-sampler-type jaeger-sampler-param jaeger-sampler-host jaeger-sampler-port"
        " jaeger-trace-context-header-name jaeger-debug-header jaeger-baggage-header"
        " jaeger-trace-baggage-header-prefix enable-opentracing opentracing-trust-incoming-span"
        " opentracing-operation-name opentracing-location-operation-name zipkin-collector-host zipkin-collector-port"
        " zipkin-service-name zipkin-sample-rate datadog-collector-host datadog-collector-port datadog-service-name"
        " datadog-environment datadog-operation-name-override datadog-priority-sampling datadog-sample-rate"
        " global-rate-limit-memcached-host global-rate-limit-memcached-port"
        " global-rate-limit-memcached-connect-timeout global-rate-limit-memcached-max-idle-timeout"
        " global-rate-limit-memcached-pool-size global-rate-limit-status-code plugins enable-vts-status"
        " http2-push-preload ssl-prefer-server-ciphers",
    ),
)


def _rows() -> tuple[SettingRow, ...]:
    found: list[SettingRow] = []
    for (fate, words, advice), keys in _GROUPS:
        for item in keys.split():
            name, _, default = item.partition("=")
            found.append((fate, name, default, words, advice))
    return tuple(found)


OTHER_ROWS = _rows()
#: Whole numbers among them.
OTHER_KINDS = {
    NUMBER: " ".join(name for _, name, default, _, _ in OTHER_ROWS if default.isdecimal()),
}
