"""Ingresses made at random as people write them, the same in every run.

Several hosts in an Ingress and several Ingresses of a host, names and wildcards, with TLS in every form, all types of
paths, default backends, canaries; Services that several of them share.
"""

from __future__ import annotations

import random
from typing import Any

from generated_annotations import CANARIES, EXPRESSIONS, GROUPS, LITERALS, SETTINGS, TARGETS
from ingress_objects import PREFIX, config_map

from sluicegate.controller.ingress import Name

HOSTS = (
    "shop.example.com",
    "api.example.com",
    "*.example.com",
    "www.example.org",
    "example.org",
    "example.net",
    "*.apps.example.net",
    "a.apps.example.net",
    "",
)
SERVICES = ("web", "api", "login", "files")
#: Services of canaries; one that paths of others have too is rare.
NEXT = ("next", "next", "next", "newer", "web")
KINDS = ("Prefix", "Prefix", "Exact", "ImplementationSpecific")
Document = dict[str, Any]


#: Of `auth-tls-secret`.
AUTHORITY: Document = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "ca", "namespace": "shop"},
    "data": {"ca.crt": "c3RhbmRzIGZvciBvbmUK"},
}


def options_of(seed: int) -> dict[str, Any]:
    """How a seed is converted: in most of them there is a certificate for hosts without one, as ingress-nginx has."""
    return {"default_certificate": Name("shop", "default")} if seed % 4 else {}


def generated(seed: int) -> list[Document]:
    """The objects of a seed."""
    chance = random.Random(seed)
    names = chance.sample(HOSTS, chance.randint(1, 4))
    primaries = [_primary(f"i{number}", names, chance) for number in range(chance.randint(1, 5))]
    objects = [*primaries]
    canaries = chance.choice((0, 0, 0, 1, 1, 2))
    objects += [_canary(f"canary{number}", chance.choice(primaries), chance) for number in range(canaries)]
    if chance.random() < 0.12:
        objects.append(_made("fallback", [], {}, chance, default="fallback"))
    if chance.random() < 0.3:
        objects.append(config_map("settings", {**chance.choice(SETTINGS), **chance.choice(SETTINGS)}))
    objects.append(AUTHORITY)
    objects.append(config_map("answers", {"X-Answer": "yes"}))
    objects.append(config_map("requests", {"X-Request": "yes"}))
    return objects


def _primary(name: str, names: list[str], chance: random.Random) -> Document:
    expressions = chance.random() < 0.3
    rules = []
    for host in chance.sample(names, min(len(names), chance.choice((1, 1, 1, 2, 2, 3)))):
        # A rule for a host alone is what some charts make of a list without items.
        count = chance.randint(1, 3) if chance.random() < 0.95 else 0
        rules.append((host, [_path(chance, expressions=expressions) for _ in range(count)]))
    default = "fallback" if chance.random() < 0.12 else ""
    made = _made(name, rules, _annotations(chance, expressions=expressions), chance, default=default)
    secured = _tls(name, [host for host, _ in rules if host], chance)
    if secured:
        made["spec"]["tls"] = secured
    return made


def _made(
    name: str,
    rules: list[tuple[str, list[tuple[str, str, str]]]],
    annotations: dict[str, str],
    chance: random.Random,
    *,
    default: str = "",
) -> Document:
    spec: Document = {"ingressClassName": "nginx"}
    if default:
        spec["defaultBackend"] = _backend(default)
    if rules:
        spec["rules"] = [_rule(host, paths) for host, paths in rules]
    metadata = {
        "name": name,
        "namespace": "shop",
        "annotations": {f"{PREFIX}{key}": value for key, value in annotations.items()},
        # Several are of one day, and go by their names then.
        "creationTimestamp": f"2026-01-0{chance.randint(1, 6)}T00:00:00Z",
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def _rule(host: str, paths: list[tuple[str, str, str]]) -> Document:
    found: Document = {"host": host} if host else {}
    entries = [{"path": path, "pathType": kind, "backend": _backend(service)} for path, kind, service in paths]
    return found | ({"http": {"paths": entries}} if entries else {})


def _backend(service: str) -> Document:
    return {"service": {"name": service, "port": {"number": 80}}}


def _tls(name: str, hosts: list[str], chance: random.Random) -> list[Document]:
    """Entries of `spec.tls`: for all hosts, some, each, the wildcard above them, or for those of the certificate."""
    secret = f"{name}-tls"
    if not hosts or chance.random() < 0.3:
        return []
    form = chance.random()
    if form < 0.55:
        return [{"hosts": hosts, "secretName": secret}]
    if form < 0.7:
        return [{"hosts": [chance.choice(hosts)], "secretName": secret}]
    if form < 0.8:
        return [{"hosts": [host], "secretName": f"{secret}-{number}"} for number, host in enumerate(hosts)]
    if form < 0.87:
        return [{"hosts": [f"*.{hosts[0].partition('.')[2]}"], "secretName": secret}]
    if form < 0.94:
        return [{"hosts": hosts}]
    return [{"secretName": secret}]


def _canary(name: str, primary: Document, chance: random.Random) -> Document:
    """A canary of some paths of another Ingress, and at times of one that nobody else has."""
    rules = []
    for rule in primary["spec"]["rules"]:
        there = rule.get("http", {}).get("paths", [])
        chosen = [(item["path"], item["pathType"]) for item in chance.sample(there, min(len(there), 1))]
        chosen += [("/nobody", "Prefix")] if chance.random() < 0.1 else []
        if chosen and chance.random() < 0.8:
            rules.append((rule.get("host", ""), [(path, kind, chance.choice(NEXT)) for path, kind in chosen]))
    if not rules:
        rules = [(primary["spec"]["rules"][0].get("host", ""), [("/", "Prefix", "next")])]
    return _made(name, rules, {"canary": "true", **chance.choice(CANARIES)}, chance)


def _path(chance: random.Random, *, expressions: bool) -> tuple[str, str, str]:
    service = chance.choice(SERVICES)
    if expressions:
        return chance.choice(EXPRESSIONS), "ImplementationSpecific", service
    kind = chance.choice(KINDS)
    # Only a path of this type may be missing.
    empty = kind == "ImplementationSpecific" and chance.random() < 0.1
    return "" if empty else chance.choice(LITERALS), kind, service


def _annotations(chance: random.Random, *, expressions: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    if expressions:
        found |= {"use-regex": "true"} if chance.random() < 0.6 else {}
        found |= {"rewrite-target": chance.choice(TARGETS)} if chance.random() < 0.7 or not found else {}
    elif chance.random() < 0.08:
        found["rewrite-target"] = chance.choice(("/", "/constant"))
    for often, choices in GROUPS:
        if chance.random() < often:
            found |= chance.choice(choices)
    return found
