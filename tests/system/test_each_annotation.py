"""Each converted annotation of ingress-nginx is seen by a request to the engine that is answered otherwise without it.

The table of fates says which these are; `system_annotations_*.py` say what is seen of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from system_annotation import OFFSET, Entry, Here, Side
from system_annotations_access import ACCESS, authoriser
from system_annotations_backends import BACKENDS
from system_annotations_routes import ROUTES
from system_certificates import Authority
from system_gateway import Gateway
from system_manifests import Manifest, metadata, opaque, service
from system_migration import PREFIX, converted, manifests

from sluicegate.controller.ingress import NGINX, Conversion, Name

ENTRIES = [*ROUTES, *ACCESS, *BACKENDS]
#: htpasswd -nbB ann secret (cost 5).
USERS = "ann:$2b$05$F0lcgbMRpJUC2IPTzKfFxefZdYK/ci6R0Eya8RUHLxetJAH6T4a.."
#: Of whom every Ingress of the class `asking` asks, by its settings.
AUTHORISER = "asking-authoriser"


def config_map(name: str, **data: str) -> Manifest:
    named = {key.replace("_", "-"): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": named}


def used(authority: Authority) -> list[Manifest]:
    """What entries name, whichever they are."""
    return [
        config_map(
            "controller",
            allow_snippet_annotations="true",
            annotations_risk_level="Critical",
            global_allowed_response_headers="X-Frame-Options",
        ),
        config_map("asking", global_auth_url=f"http://{AUTHORISER}.default.svc.cluster.local/check"),
        config_map("fields", X_Frame_Options="DENY"),
        config_map("told", X_Sent_From="gateway"),
        opaque("ca", **{"ca.crt": authority.pem.decode()}),
        opaque("clients", **{"ca.crt": authority.pem.decode()}),
        opaque("users", auth=USERS),
        # A key for each: with `auth-file` none of them is one.
        opaque("each", ann=USERS.partition(":")[2], bob=USERS.partition(":")[2]),
    ]


Conversions = dict[str, Conversion]


def conversions(objects: list[Manifest], *, with_it: bool) -> Conversions:
    """The conversions of all entries, by the names of their settings."""
    found: Conversions = {}
    for name in sorted({each.settings for each in ENTRIES}):
        own = [item for each in ENTRIES if each.settings == name for item in each.written(with_it=with_it)]
        found[name] = converted(*own, *objects, config_map=Name("default", name), ingress_class=name)
    return found


class Both:
    """All entries, served with their annotations and without."""

    def __init__(self, start: Callable[..., Gateway], authority: Authority, folder: Path) -> None:
        self.sides: dict[bool, Side] = {}
        self.told: Conversions = {}
        for with_it in (True, False):
            own = folder / str(with_it)
            own.mkdir()
            side = self.sides[with_it] = Side(authority, with_it, own)
            served = [*side.begin(ENTRIES), *service(AUTHORISER, side.authoriser(authoriser))]
            objects = used(authority)
            found = conversions([*served, *objects], with_it=with_it)
            made = [item for each in found.values() for item in manifests(each)]
            options = ("--port-offset", str(OFFSET), "--access-log", str(side.log))
            side.gateway = start(*made, *served, *objects, arguments=options)
            self.told = self.told or found


@pytest.fixture(scope="module")
def both(
    start: Callable[..., Gateway], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    found = Both(start, authority, tmp_path_factory.mktemp("sides"))
    yield found
    for side in found.sides.values():
        side.end()


@pytest.mark.parametrize("each", ENTRIES, ids=str)
def test_it_is_seen(both: Both, each: Entry) -> None:
    """What an entry says is seen with the annotation, and something else without it."""
    assert each.seen != each.otherwise
    assert each.ask(Here(both.sides[True], each)) == each.seen
    assert each.ask(Here(both.sides[False], each)) == each.otherwise


@pytest.mark.parametrize("each", ENTRIES, ids=str)
def test_it_is_told_as_converted(both: Both, each: Entry) -> None:
    """The report says of it what the table says, or that something is different: never that it is lost."""
    owners = {f"Ingress/default/{item['metadata']['name']}" for item in each.ingresses}
    subject = f"{PREFIX}{each.annotation}"
    fates = {item.fate for item in both.told[each.settings].fates if item.object in owners and item.subject == subject}
    assert fates
    assert fates <= {"converted", "converted-with-difference"}


def test_every_converted_annotation_has_an_entry() -> None:
    """Of the one table of fates, which the documentation is made of."""
    wanted = {row.name for row in NGINX.annotations.values() if row.fate in {"converted", "converted-with-difference"}}
    assert {each.annotation for each in ENTRIES} == wanted
    assert len(wanted) >= 105
    assert len({str(each) for each in ENTRIES}) == len(ENTRIES)
