"""A Secret that is gone for a moment: its certificate serves on for a while, and the conditions say so."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from sluicegate.controller.api import Document, ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translation, Translator, to_document

GATEWAY_API = "gateway.networking.k8s.io/v1"
GATEWAY, SECRET = ObjectKey("Gateway", "default", "web"), ObjectKey("Secret", "default", "certificate")
GRACE, START = 300.0, 1_800_000_000.0
CHAIN = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"


def secret(chain: str = CHAIN) -> Document:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in (("tls.crt", chain), ("tls.key", KEY))}
    metadata = {"name": "certificate"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}


def objects() -> list[Document]:
    tls = {"certificateRefs": [{"name": "certificate"}]}
    listeners = [
        {"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls},
        {"name": "http", "port": 80, "protocol": "HTTP"},
    ]
    classes = {"metadata": {"name": "ours"}, "spec": {"controllerName": "sluicegate.dev/controller"}}
    gateway = {"metadata": {"name": "web"}, "spec": {"gatewayClassName": "ours", "listeners": listeners}}
    return [
        {"apiVersion": GATEWAY_API, "kind": "GatewayClass", **classes},
        {"apiVersion": GATEWAY_API, "kind": "Gateway", **gateway},
    ]


class Bench:
    """A store, a translator and a clock."""

    def __init__(self, *documents: Document, grace: float = GRACE) -> None:
        self.now = START
        self.store = Store()
        self.store.load(decode(item) for item in (*objects(), *documents))
        self.translator = Translator(options=Options(certificate_grace=grace))

    def after(self, seconds: float, *changes: Document | ObjectKey) -> Translation:
        self.now += seconds
        for change in changes:
            self.store.handle(Delete(change) if isinstance(change, ObjectKey) else Apply(decode(change)))
        return self.translator.translate(self.store.snapshot(), self.now)


def served(translation: Translation) -> set[str]:
    return {item.id.rpartition("/")[2] for item in translation.ir.listeners.values()}


def condition(translation: Translation, kind: str, listener: str = "") -> str:
    status: dict[str, Any] = to_document(translation.statuses[GATEWAY])
    holder = next((item for item in status["listeners"] if item["name"] == listener), status)
    [found] = [item for item in holder["conditions"] if item["type"] == kind]
    return f"{found['status']} {found['reason']}: {found['message']}"


def test_it_serves_on_until_the_grace_is_over() -> None:
    bench = Bench(secret())
    certificates = bench.after(0).ir.certificates
    gone = bench.after(10, SECRET)
    assert served(gone) == {"https", "http"}
    assert gone.ir.certificates == certificates
    assert gone.due == START + 10 + GRACE
    for listener in ("https", ""):
        said = condition(gone, "ResolvedRefs", listener)
        assert said.startswith("False")
        assert "Secret default/certificate: does not exist" in said
        assert "the last good certificate serves on until 2027-01-15 08:05:10 UTC" in said
    # Whatever else changes begins no new time.
    assert bench.after(200, secret_of_others()).due == gone.due
    assert served(bench.after(99)) == {"https", "http"}
    ended = bench.after(1)
    assert served(ended) == {"http"}
    assert not ended.ir.certificates
    assert "(Secret default/certificate: does not exist" in condition(ended, "Accepted")
    assert served(bench.after(0, secret())) == {"https", "http"}


def secret_of_others() -> Document:
    made = secret()
    return {**made, "metadata": {"name": "of-others"}}


def test_it_comes_back_in_time() -> None:
    bench = Bench(secret())
    bench.after(0)
    bench.after(0, SECRET)
    back = bench.after(100, secret(CHAIN * 2))
    assert condition(back, "ResolvedRefs").startswith("True")
    assert [item.chain for item in back.ir.certificates.values()] == [CHAIN * 2]
    assert back.due is None
    # The next time is another time.
    assert bench.after(1_000, SECRET).due == START + 1_100 + GRACE


def test_it_comes_back_unusable() -> None:
    """Then it is content that went bad, and that has no end."""
    bench = Bench(secret())
    bench.after(0)
    bench.after(0, SECRET)
    assert served(bench.after(100, secret("nonsense"))) == {"https", "http"}
    assert served(bench.after(1_000)) == {"https", "http"}


@pytest.mark.parametrize("documents", [[], [secret("nonsense")]], ids=["never", "never good"])
def test_what_never_served_does_not_begin(documents: list[Document]) -> None:
    bench = Bench(*documents)
    assert served(bench.after(0)) == {"http"}
    assert served(bench.after(1, SECRET)) == {"http"}


def test_without_grace_it_ends_at_once() -> None:
    bench = Bench(secret(), grace=0)
    bench.after(0)
    assert served(bench.after(0, SECRET)) == {"http"}
