"""Listeners that wait for their Secrets: what their Gateway and ListenerSets say once an engine has reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sluicegate.controller.api import ObjectKey, decode
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import ApplyReport, Options, Status, Translation, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.ir import ListenerReport

MANIFESTS = Path(__file__).parents[1] / "golden" / "listenersets" / "waiting" / "in.yaml"
GOOD = "ListenerSet/default/good/http"


def translate(options: Options, *, without: str = "") -> Translation:
    store = Store()
    documents = [item for item in yaml.safe_load_all(MANIFESTS.read_text()) if item["metadata"]["name"] != without]
    store.load(decode(item) for item in documents)
    return Translator(options=options).translate(store.snapshot())


def conditions(status: Status) -> Iterator[tuple[str, str, str]]:
    for item in status.conditions:  # type: ignore[union-attr]
        yield item.type, item.status, item.reason


def key(kind: str, name: str) -> ObjectKey:
    return ObjectKey(kind, "default", name)


def test_a_valid_set_is_served_and_the_gateway_programmed() -> None:
    found = translate(Options())
    assert [*found.ir.listeners] == [GOOD]
    reported = found.with_report(ApplyReport(1, (ListenerReport(GOOD, ("0.0.0.0:80",)),)))
    said = {name: [*conditions(reported.statuses[name])] for name in reported.statuses if name.kind != "HTTPRoute"}
    assert said[key("Gateway", "waiting")][:2] == [
        ("Accepted", "True", "ListenersNotValid"),
        ("Programmed", "True", "Programmed"),
    ]
    assert said[key("ListenerSet", "good")] == [("Accepted", "True", "Accepted"), ("Programmed", "True", "Programmed")]
    assert said[key("ListenerSet", "waits-too")] == [
        ("Accepted", "True", "ListenersNotValid"),
        ("Programmed", "False", "ListenersNotValid"),
    ]


def test_without_a_listener_that_works_it_is_accepted_and_not_programmed() -> None:
    found = translate(Options(), without="good").with_report(ApplyReport(1))
    [accepted, programmed, resolved] = conditions(found.statuses[key("Gateway", "waiting")])
    assert (accepted, programmed) == (("Accepted", "True", "ListenersNotValid"), ("Programmed", "False", "Invalid"))
    assert resolved == ("ResolvedRefs", "False", "ListenersNotResolved")


@pytest.mark.parametrize(("without", "kept"), [("", False), ("good", True)])
def test_a_data_plane_is_made_once_a_listener_works(without: str, kept: bool) -> None:
    found = translate(Options(provision=ProvisionOptions(authority="")), without=without)
    plane = found.infrastructure["default/waiting-sluicegate"]
    assert plane.kept is kept
