"""What an Ingress asks for besides hosts and paths, in nobody's words: providers make features, `emit` says them.

Rules:
- A feature says what is wanted, with the defaults of the source written out; never how the Gateway API says it.
- Each has its causes: every annotation or setting that it comes from, the one that switches it on first.
- A provider gives an Ingress at most one feature of a kind.
"""

from __future__ import annotations

from .access import PROTECTING, Addresses, BasicAuth, ClientCertificates, ExternalAuth, OpenPaths, Refusals
from .backends import Affinity, BackendTls, Balancing, FreshConnections, Protocol, Retry, RetryTime, Timeouts
from .base import Closed, Feature, Features, Field
from .clients import (
    BodyLimit,
    ClientAddress,
    ClientCiphers,
    ClientConnections,
    CollectBody,
    Limit,
    Limits,
    Mirror,
    NoAccessLog,
    Underscores,
)
from .hosts import Aliases, Canary, Passthrough
from .merging import each_once
from .messages import Cors, ErrorPages, RequestHeaders, ResponseHeaders, ResponseRewrite, UpstreamHost
from .paths import ExactPaths, PathEdit, RegexPaths, Rewrite
from .redirects import Answer, AppRoot, HttpsRedirect, Redirect, RelativeRedirects, StrictTransport, WwwRedirect

__all__ = [
    "PROTECTING",
    "Addresses",
    "Affinity",
    "Aliases",
    "Answer",
    "AppRoot",
    "BackendTls",
    "Balancing",
    "BasicAuth",
    "BodyLimit",
    "Canary",
    "ClientAddress",
    "ClientCertificates",
    "ClientCiphers",
    "ClientConnections",
    "Closed",
    "CollectBody",
    "Cors",
    "ErrorPages",
    "ExactPaths",
    "ExternalAuth",
    "Feature",
    "Features",
    "Field",
    "FreshConnections",
    "HttpsRedirect",
    "Limit",
    "Limits",
    "Mirror",
    "NoAccessLog",
    "OpenPaths",
    "Passthrough",
    "PathEdit",
    "Protocol",
    "Redirect",
    "Refusals",
    "RegexPaths",
    "RelativeRedirects",
    "RequestHeaders",
    "ResponseHeaders",
    "ResponseRewrite",
    "Retry",
    "RetryTime",
    "Rewrite",
    "StrictTransport",
    "Timeouts",
    "Underscores",
    "UpstreamHost",
    "WwwRedirect",
    "each_once",
]
