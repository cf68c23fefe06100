"""Sluicegate: a Kubernetes Gateway API gateway that installs with pip.

As a library it answers what the gateway would do with a request, without serving anything:

    routes = sluicegate.load(["./manifests"])
    decision = routes.decide("GET https://www.example.com/login", headers={"x-user": "anna"})
    assert decision.backend == "default/example-svc:8080"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
#: The library: where each name is defined.
_LIBRARY = {
    "Answer": "decision",
    "Connection": "request",
    "Decision": "decision",
    "Forwarded": "decision",
    "Request": "request",
    "RequestError": "request",
    "Routes": "library",
    "WeightedBackend": "decision",
    "load": "library",
    "parse_request": "request",
}
__all__ = [
    "Answer",
    "Connection",
    "Decision",
    "Forwarded",
    "Request",
    "RequestError",
    "Routes",
    "WeightedBackend",
    "__version__",
    "load",
    "parse_request",
]

if TYPE_CHECKING:
    from .testing.decision import Answer, Decision, Forwarded, WeightedBackend
    from .testing.library import Routes, load
    from .testing.request import Connection, Request, RequestError, parse_request


def __getattr__(name: str) -> object:
    """Load the library when it is asked for: `sluicegate --version` and the reference router need none of it."""
    if name in _LIBRARY:
        import importlib

        return getattr(importlib.import_module(f".testing.{_LIBRARY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
