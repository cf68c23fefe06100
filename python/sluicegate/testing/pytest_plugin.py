"""A pytest fixture with which a team tests its routes.

    def test_login(sluicegate_routes):
        routes = sluicegate_routes("manifests")
        assert routes.decide("GET https://www.example.com/login").backend == "default/example-svc:8080"
        assert routes.decide("grpc://www.example.com/shop.Cart/Add").route == "GRPCRoute/default/cart"
        assert routes.decide("tls://db.example.com:5432").outcome == "forward"

Paths are relative to pytest's root directory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sluicegate import Routes
    from sluicegate.engine.limits import PathNormalization


@pytest.fixture(scope="session")
def sluicegate_routes(request: pytest.FixtureRequest) -> Callable[..., Routes]:
    """Load manifests, once each; problems of kind `error` fail the test unless `strict=False`."""
    from sluicegate import load
    from sluicegate.controller import DEFAULT_CONTROLLER_NAME

    root = request.config.rootpath
    loaded: dict[tuple[object, ...], Routes] = {}

    def load_once(
        *paths: str,
        strict: bool = True,
        controller_name: str = DEFAULT_CONTROLLER_NAME,
        path_normalization: PathNormalization = "strict",
        port_offset: int = 0,
    ) -> Routes:
        key = (paths, controller_name, path_normalization, port_offset)
        if key not in loaded:
            files = [root / path for path in paths]
            loaded[key] = load(files, controller_name, path_normalization, port_offset=port_offset)
        errors = [str(item) for item in loaded[key].problems if item.severity == "error"]
        if strict and errors:
            pytest.fail("the manifests have problems:\n" + "\n".join(errors), pytrace=False)
        return loaded[key]

    return load_once
