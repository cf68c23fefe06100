"""Sluicegate: a Kubernetes Gateway API gateway that installs with pip.

As a library it answers what the gateway would do with a request, without serving anything:

    routes = sluicegate.load(["./manifests"])
    decision = routes.decide("GET https://www.example.com/login", headers={"x-user": "anna"})
    assert decision.backend == "default/example-svc:8080"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Code",
    "Connection",
    "Decision",
    "Diagnostic",
    "Forwarded",
    "Headers",
    "Identity",
    "Outcome",
    "PathNormalization",
    "PolicyVerdict",
    "Proof",
    "Reason",
    "Request",
    "RequestError",
    "Routes",
    "Severity",
    "WeightedBackend",
    "__version__",
    "load",
    "parse_request",
]

if TYPE_CHECKING:
    from .testing.library import (
        Answer,
        Code,
        Connection,
        Decision,
        Diagnostic,
        Forwarded,
        Headers,
        Identity,
        Outcome,
        PathNormalization,
        PolicyVerdict,
        Proof,
        Reason,
        Request,
        RequestError,
        Routes,
        Severity,
        WeightedBackend,
        load,
        parse_request,
    )


def __getattr__(name: str) -> object:
    """Load the library when it is asked for: `sluicegate --version` and the reference router need none of it."""
    if name in __all__:
        from .testing import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
