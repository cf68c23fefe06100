"""`serve --self-signed`: who gets a certificate that is made, who does not, and what is told of it."""

from __future__ import annotations

import functools

import yaml

from sluicegate.controller import api as model
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translation, Translator

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: shop, protocol: HTTPS, port: 443, hostname: Shop.test, tls: {certificateRefs: [{name: gone}]}}
  - {name: any, protocol: HTTPS, port: 8443, tls: {certificateRefs: [{name: gone}]}}
  - {name: broken, protocol: HTTPS, port: 443, hostname: broken.test, tls: {certificateRefs: [{name: broken}]}}
  - {name: kind, protocol: HTTPS, port: 443, hostname: kind.test, tls: {certificateRefs: [{name: a, kind: Other}]}}
  - {name: elsewhere, protocol: HTTPS, port: 443, hostname: e.test, tls: {certificateRefs: [{name: a, namespace: b}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: broken}
type: kubernetes.io/tls
stringData: {tls.crt: none, tls.key: none}
"""


def translator(made: list[tuple[str, ...]], *, allowed: bool) -> Translator:
    def make(names: tuple[str, ...]) -> tuple[str, str]:
        made.append(names)
        return f"certificate of {names}", "key"

    return Translator(options=Options(self_signed=functools.cache(make) if allowed else None))


def certificates(translation: Translation) -> dict[str, tuple[str, ...]]:
    listeners = translation.ir.listeners.values()
    return {item.id.rpartition("/")[2]: item.tls.certificates for item in listeners if item.tls is not None}


def test_only_listeners_without_a_secret_get_one() -> None:
    store, made = Store(), list[tuple[str, ...]]()
    store.load(model.decode(item) for item in yaml.safe_load_all(GATEWAY))
    assert certificates(translator(made, allowed=False).translate(store.snapshot())) == {}
    translate = translator(made, allowed=True)
    translation = translate.translate(store.snapshot())
    assert certificates(translation) == {"shop": ("self-signed:shop.test",), "any": ("self-signed:*",)}
    assert made == [("shop.test",), ("localhost", "*.localhost", "127.0.0.1", "::1")]
    told = [item for item in translation.diagnostics if "made at this start" in item.message]
    assert [(item.severity, item.code) for item in told] == [("warning", "invalid-certificate-ref")] * 2
    status = next(item for key, item in translation.statuses.items() if key.kind == "Gateway")
    conditions = {item.name: {each.type: each for each in item.conditions} for item in status.listeners}
    for name in ("shop", "any"):
        assert conditions[name]["ResolvedRefs"].status == "False"
        assert conditions[name]["ResolvedRefs"].reason == "InvalidCertificateRef"
    # A Secret that comes is served, or is what is wrong; what was made is kept no longer.
    secret = next(item for item in yaml.safe_load_all(GATEWAY) if item["kind"] == "Secret")
    secret["metadata"]["name"] = "gone"
    store.handle(Apply(model.decode(secret)))
    assert certificates(translate.translate(store.snapshot())) == {}
    store.handle(Delete(model.ObjectKey("Secret", "default", "gone")))
    assert certificates(translate.translate(store.snapshot())).keys() == {"shop", "any"}
    assert len(made) == 2
