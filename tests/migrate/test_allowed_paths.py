"""What lets requests in refuses none: a snippet that has it may be read in part."""

from __future__ import annotations

import pytest
from ingress_objects import config_map, ingress, verified

ALLOWED = {"allow-snippet-annotations": "true", "annotations-risk-level": "Critical"}
#: As the chart of Nextcloud has it.
ROBOTS = "location = /robots.txt { allow all; log_not_found off; access_log off; }"
DENIED = "location ~ ^/(?:build|tests)/ { deny all; }"


@pytest.mark.parametrize(
    ("snippet", "closed"),
    [
        (ROBOTS, False),
        (f"{ROBOTS} {DENIED}", False),
        ("location = /admin { allow 10.0.0.0/8; deny all; }", True),
        ("location = /admin { auth_basic Admins; allow all; }", True),
        ("rewrite ^/a /b last;", False),
    ],
)
def test_a_location_that_only_lets_in_closes_nothing(snippet: str, closed: bool) -> None:
    made = ingress(annotations={"server-snippet": snippet})
    _, conversion = verified([made, config_map("settings", ALLOWED)])
    rules = [rule for item in conversion.objects if item.kind == "HTTPRoute" for rule in item.document["spec"]["rules"]]
    assert [not rule.get("backendRefs") for rule in rules] == [closed]


@pytest.mark.parametrize("block", ["fe80::1%eth0", "10.0.0.0/8, fe80::%eth0/10"])
def test_a_block_with_a_zone_is_none(block: str) -> None:
    """Go reads none, so the controller refused everybody; no policy could have it."""
    _, conversion = verified([ingress(annotations={"allowlist-source-range": block})])
    assert not any(item.kind == "AccessPolicy" for item in conversion.objects)
    assert [item.fate for item in conversion.losses if item.subject.endswith("source-range")] == ["invalid"]
