"""What an Ingress asks for besides hosts and paths, in nobody's words: providers make features, `emit` says them.

Rules:
- A feature says what is wanted, with the defaults of the source written out; never how the Gateway API says it.
- Each has its causes: every annotation or setting that it comes from, the one that switches it on first.
- A provider gives an Ingress at most one feature of a kind.
"""

from __future__ import annotations

from .access import Addresses, BasicAuth, ClientCertificates, ExternalAuth
from .backends import Affinity, BackendTls, Balancing, Protocol, Retry, Timeouts
from .base import Closed, Feature, Features, Field
from .clients import BodyLimit, ClientAddress, CollectBody, Limit, Limits, Mirror, NoAccessLog, Underscores
from .hosts import Aliases, Canary, Passthrough
from .messages import Cors, ErrorPages, RequestHeaders, ResponseHeaders, ResponseRewrite, UpstreamHost
from .paths import ExactPaths, PathEdit, RegexPaths, Rewrite
from .redirects import AppRoot, HttpsRedirect, Redirect, StrictTransport, WwwRedirect

__all__ = [
    "Addresses",
    "Affinity",
    "Aliases",
    "AppRoot",
    "BackendTls",
    "Balancing",
    "BasicAuth",
    "BodyLimit",
    "Canary",
    "ClientAddress",
    "ClientCertificates",
    "Closed",
    "CollectBody",
    "Cors",
    "ErrorPages",
    "ExactPaths",
    "ExternalAuth",
    "Feature",
    "Features",
    "Field",
    "HttpsRedirect",
    "Limit",
    "Limits",
    "Mirror",
    "NoAccessLog",
    "Passthrough",
    "PathEdit",
    "Protocol",
    "Redirect",
    "RegexPaths",
    "RequestHeaders",
    "ResponseHeaders",
    "ResponseRewrite",
    "Retry",
    "Rewrite",
    "StrictTransport",
    "Timeouts",
    "Underscores",
    "UpstreamHost",
    "WwwRedirect",
]
