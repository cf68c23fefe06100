"""The path that a service is asked for: with `exact` it may have a query."""

from __future__ import annotations

import pytest

from sluicegate.controller.api import BackendReference, ExternalAuthFilter
from sluicegate.controller.api.route import HTTPAuthConfig
from sluicegate.controller.translate.external_auth import external_service
from sluicegate.controller.translate.unsupported import Unsupported


def asked(path: str, *, exact: bool) -> str:
    auth = ExternalAuthFilter(
        protocol="HTTP", backend_ref=BackendReference(name="auth", port=80), http=HTTPAuthConfig(path=path)
    )
    return external_service(auth, "external", lambda _reference, _field: "auth", exact_path=exact).path


@pytest.mark.parametrize("path", ["/check", "check", "/check?a=b", "/check?groups=a,b&x=%20/?", "/check?", ""])
def test_an_exact_path_may_have_a_query(path: str) -> None:
    assert asked(path, exact=True) == (path if path.startswith("/") or not path else f"/{path}")


@pytest.mark.parametrize(
    ("path", "exact", "words"),
    [
        ("/check?a=b", False, "the path of the request would stand behind it"),
        ("/check?a=b c", True, "has a character that no query has"),
        ("/check?a=%zz", True, "has a character that no query has"),
        ("/check?a#b", True, "has a character that no query has"),
        ("/check?a=\r\nX-Other: 1", True, "has a character that no query has"),
        ("//check?a=b", True, "must not contain //"),
    ],
)
def test_what_is_no_path_with_a_query(path: str, exact: bool, words: str) -> None:
    with pytest.raises(Unsupported, match=words) as raised:
        asked(path, exact=exact)
    assert raised.value.field == "external.http.path"
