"""When certificates end, as the controller's `/metrics` tells it: names and times, bounded, and nothing secret."""

from __future__ import annotations

import time
from typing import cast

import pytest

from sluicegate import ir
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.controller.translate.state import State
from sluicegate.engine.native import check_certificate, self_signed
from sluicegate.observe.log import Log
from sluicegate.processes.controller import certificates, role
from sluicegate.processes.controller.metrics import ControllerMetrics
from sluicegate.processes.controller.settings import load_controller_settings


def listener(name: str, *secrets: str) -> ir.Listener:
    tls = ir.ListenerTls(certificates=secrets) if secrets else None
    protocol = ir.ListenerProtocol.HTTPS if secrets else ir.ListenerProtocol.HTTP
    whole = f"Gateway/shop/edge/{name}"
    return ir.Listener(id=whole, gateway="shop/edge", port=443, bind_port=443, protocol=protocol, tls=tls)


def state(*listeners: ir.Listener, secrets: dict[str, tuple[str, str]]) -> State:
    made = {name: ir.Certificate(id=name, chain=pair[0], key=pair[1]) for name, pair in secrets.items()}
    return State(listeners={item.id: item for item in listeners}, certificates=made)


def test_each_listener_with_each_certificate() -> None:
    pair = self_signed(["shop.example"])
    end = check_certificate(*pair).not_after
    assert end > time.time()
    both = {"shop/a": pair, "shop/b": pair, "shop/broken": ("no certificate", "no key")}
    found, untold = certificates.Expiries().of(
        state(
            listener("one", "shop/a", "shop/b"),
            listener("two", "shop/a", "shop/broken"),
            listener("plain"),
            secrets=both,
        )
    )
    one, two = "Gateway/shop/edge/one", "Gateway/shop/edge/two"
    assert found == [(end, one, "shop/a"), (end, one, "shop/b"), (end, two, "shop/a")]
    assert untold == 0


def test_a_certificate_is_looked_at_once_and_anew_where_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look(chain: str, key: str) -> object:
        looked.append(chain)
        return check_certificate(chain, key)

    monkeypatch.setattr(certificates, "check_certificate", look)
    first, second = self_signed(["a.example"]), self_signed(["b.example"])
    expiries = certificates.Expiries()
    for pair in (first, first, second, second):
        expiries.of(state(listener("one", "shop/a"), secrets={"shop/a": pair}))
    assert looked == [first[0], second[0]]
    expiries.of(state(secrets={}))
    expiries.of(state(listener("one", "shop/a"), secrets={"shop/a": second}))
    assert len(looked) == 3, "what is gone is forgotten"


def test_series_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "MAX_TOLD", 3)
    secrets = {"shop/a": self_signed(["a.example"])}
    many = [listener(str(number), "shop/a") for number in range(10)]
    found, untold = certificates.Expiries().of(state(*many, secrets=secrets))
    assert (len(found), untold) == (3, 7)


def test_metrics_have_names_and_times_and_nothing_secret() -> None:
    settings = load_controller_settings({}, {}, "1")
    controller = role.Controller(cast("Client", None), settings, Log("text"), "1")
    chain, key = self_signed(["shop.example"])
    found, _ = certificates.Expiries().of(state(listener("https", "shop/tls"), secrets={"shop/tls": (chain, key)}))
    metrics = ControllerMetrics(lambda: controller.figures()._replace(expiries=found, expiries_untold=2))
    metrics.observe(0.5)
    text = metrics.text().decode()
    name = "sluicegate_controller_certificate_expiry_timestamp_seconds"
    labels = 'listener="Gateway/shop/edge/https",secret="shop/tls"'
    [line] = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    assert line.startswith(f"{name}{{{labels}}} ")
    assert float(line.rpartition(" ")[2]) == found[0].not_after
    assert "\nsluicegate_controller_certificate_expiries_untold 2.0\n" in text
    assert not any(part and part in text for part in (*chain.splitlines(), *key.splitlines()))
    [changed] = [
        line for line in text.splitlines() if line.startswith("sluicegate_controller_configured_timestamp_seconds ")
    ]
    assert 0 <= time.time() - float(changed.split()[1]) < 600
