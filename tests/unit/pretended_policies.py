"""Two kinds of policies that nobody has, to try what all kinds share: an inherited one, and a direct one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from sluicegate import ir
from sluicegate.controller.api import ROUTE_KINDS, Diagnostics, Object, ObjectKey, PolicyTargetReference
from sluicegate.controller.api.meta import ObjectMeta
from sluicegate.controller.translate.conditions import Reason
from sluicegate.controller.translate.policies.judged import Judgement
from sluicegate.controller.translate.policies.registry import POLICIES, PolicyKind
from sluicegate.controller.translate.secrets import Material
from sluicegate.controller.translate.status import Verdict


class LimitSpec(msgspec.Struct, frozen=True, kw_only=True):
    target_refs: tuple[PolicyTargetReference, ...]
    stanzas: Mapping[str, str]
    overrides: bool = False


class LimitPolicy(Object, frozen=True, kw_only=True):
    """Stanzas by name; `Off` switches one off, `Bad` cannot be honoured."""

    spec: LimitSpec


class CarePolicy(LimitPolicy, frozen=True, kw_only=True):
    """The same, direct, on Services."""


class Limit(ir.PolicyBase, frozen=True, kw_only=True, tag="limit"):
    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule", "l4_rule", "backend"})

    value: str
    override: bool = False


def judge(policy: LimitPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    spec = policy.spec
    bad = sorted(name for name, value in spec.stanzas.items() if value == "Bad")
    accepted = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
    if bad:
        diagnostics.error("spec.stanzas", "invalid-policy", f"{bad} cannot be honoured", "correct it")
        accepted = Verdict(False, Reason.INVALID, f"{bad} cannot be honoured")
    return Judgement(
        accepted=accepted,
        resolved=Verdict(True, Reason.RESOLVED_REFS, "All references are resolved"),
        stanzas={
            name: Limit(id=f"{policy.key}/{name}" if name else str(policy.key), value=value, override=spec.overrides)
            for name, value in spec.stanzas.items()
        },
        off=frozenset(name for name, value in spec.stanzas.items() if value == "Off"),
        overrides=spec.overrides,
    )


PARENTS = ("Gateway", "ListenerSet")
LIMITED = frozenset((*PARENTS, *ROUTE_KINDS))
LIMIT = PolicyKind(
    kind="LimitPolicy",
    targets=LIMITED,
    sections=LIMITED - {"UDPRoute"},
    judge=judge,
    stanzas=("limit", "auth"),
    tightens=frozenset({"auth"}),
    inherited=True,
)
CARE = PolicyKind(kind="CarePolicy", targets=frozenset({"Service"}), sections=frozenset({"Service"}), judge=judge)
KINDS = (LIMIT, *POLICIES, CARE)
GROUPS = {"Service": ""}


def policy(name: str, *targets: str, kind: str = "LimitPolicy", namespace: str = "shop", **values: Any) -> LimitPolicy:
    """A policy; a target is `<kind>/<name>` and `/<section>` for one.

    `values`: `limit` and `auth`; `overrides`; `created` in seconds, `generation`.
    """
    references = []
    for target in targets:
        of, which, *section = target.split("/")
        group = GROUPS.get(of, "gateway.networking.k8s.io")
        references.append(
            PolicyTargetReference(kind=of, name=which, group=group, section_name=section[0] if section else None)
        )
    created, generation = values.pop("created", 1), values.pop("generation", 1)
    overrides = values.pop("overrides", False)
    stanzas = values or ({"limit": "1"} if kind == "LimitPolicy" else {"": "1"})
    made = {"LimitPolicy": LimitPolicy, "CarePolicy": CarePolicy}[kind]
    metadata = msgspec.convert(
        {
            "name": name,
            "namespace": namespace,
            "generation": generation,
            "creationTimestamp": f"2026-01-01T00:00:{created:02}Z",
        },
        ObjectMeta,
    )
    spec = LimitSpec(target_refs=tuple(references), stanzas=stanzas, overrides=overrides)
    return made(metadata=metadata, key=ObjectKey(kind, namespace, name), spec=spec)
