"""A policy that cannot be used as it is written: what is known of where it holds, so that nothing goes on without it.

Security fails closed. What cannot be read of where it holds counts as all that it may be: without a namespace any
namespace, without targets, or with one that has no name, every object of its namespace that such a policy may name. A
section that cannot be read is the whole object.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .decode import DEFAULT_NAMESPACE
from .kinds import BY_NAME, of_role
from .meta import OWN_GROUP, Object, ObjectKey, ObjectMeta, Origin
from .names import is_label, is_subdomain, unnamed

#: Kinds of policies.
POLICY_KINDS = frozenset(of_role("policy"))
#: Items of `targetRefs`, as the schemas have it. With more, nobody knows what is meant.
MAX_TARGETS = 16

#: What a kind and a namespace look like in a text that is neither YAML nor JSON.
_KIND = re.compile(r"""\bkind["']?[ \t]*:[ \t]*["']?([A-Za-z]{1,63})\b""")
_NAMESPACE = re.compile(r"""\bnamespace["']?[ \t]*:[ \t]*["']?([a-z0-9-]{1,63})\b""")


class RefusedTarget(NamedTuple):
    """What a policy names, as far as that can be read; of `kind`, `namespace` and `name` empty ones are any."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    section: str = ""


class RefusedPolicy(Object, frozen=True, kw_only=True):
    """A policy that cannot be used: its key is that of the policy where it has one that can be read.

    Attributes:
        targets: what is closed.
        reason: why it cannot be used.
    """

    targets: tuple[RefusedTarget, ...]
    reason: str


def policy_kind(document: Mapping[str, Any], meant: str = "") -> str:
    """The kind of policy that a document is, or was most likely meant to be; empty where it is none.

    Args:
        document: as parsed.
        meant: the kind that was most likely meant, where its own is not known.

    A kind of ours that is not known and has `targetRefs` is a policy too: of a newer version, or misspelt.
    """
    kind = meant or document.get("kind")
    if isinstance(kind, str) and kind in BY_NAME:
        return kind if kind in POLICY_KINDS else ""
    version = document.get("apiVersion")
    references = _references(document)
    if not isinstance(version, str) or version.partition("/")[0] != OWN_GROUP or references is None:
        return ""
    kinds = [item.get("kind") for item in references if isinstance(item, dict)]
    return "BackendPolicy" if kinds and all(item == "Service" for item in kinds) else "AccessPolicy"


def refused_policy(kind: str, document: Mapping[str, Any], origin: Origin, reason: str) -> RefusedPolicy:
    """What is known of a policy that cannot be used.

    Args:
        kind: of the policy.
        document: as parsed; anything in it may be odd.
        origin: where it came from.
        reason: why it cannot be used.
    """
    metadata = document.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    name, namespace = found.get("name"), _namespace(metadata)
    if not namespace or not isinstance(name, str) or not is_subdomain(name):
        name = unnamed(str(origin))
    generation = found.get("generation")
    known = generation if isinstance(generation, int) and 0 <= generation < 2**63 else 0
    key = ObjectKey(kind, namespace or DEFAULT_NAMESPACE, name)
    return _made(key, origin, reason, _targets(document, namespace), known)


def closed_policy(policy: Object, reason: str) -> RefusedPolicy:
    """A policy that was read and cannot be used all the same."""
    spec: Any = getattr(policy, "spec")  # noqa: B009 (every kind has one, of its own type)
    targets = tuple(
        RefusedTarget(item.kind, policy.namespace, item.name, item.section_name or "") for item in spec.target_refs
    )
    return _made(policy.key, policy.origin, reason, targets, policy.metadata.generation)


def refused_in(text: str, origin: Origin, reason: str, known: Iterable[str]) -> Iterator[RefusedPolicy]:
    """Policies of a text that is neither YAML nor JSON: all that can be told of them is their kind and namespace.

    Args:
        text: a part of a file.
        origin: where it is.
        reason: what is wrong with it.
        known: kinds of the documents that could be read of it.
    """
    kinds = [BY_NAME[kind] for kind in _KIND.findall(text) if kind in BY_NAME]
    there = Counter(kind.name for kind in kinds if kind.role == "policy") - Counter(known)
    if f"{OWN_GROUP}/" in text and "targetRef" in text and all(kind.group != OWN_GROUP for kind in kinds):
        there["AccessPolicy"] = 1  # as `policy_kind` has it
    if not there:
        return
    namespaces = sorted(set(_NAMESPACE.findall(text))) or [DEFAULT_NAMESPACE]
    targets = tuple(RefusedTarget(namespace=namespace) for namespace in namespaces)
    for kind in sorted(there):
        yield _made(ObjectKey(kind, namespaces[0], unnamed(str(origin))), origin, reason, targets, 0)


def _made(
    key: ObjectKey, origin: Origin, reason: str, targets: tuple[RefusedTarget, ...], generation: int
) -> RefusedPolicy:
    # Nothing says how old it is: of those on one target it goes first.
    metadata = ObjectMeta(name=key.name, namespace=key.namespace, generation=generation)
    return RefusedPolicy(metadata=metadata, key=key, origin=origin, targets=targets, reason=reason)


def _namespace(metadata: object) -> str:
    """The namespace of an object; empty where nobody can say."""
    found = metadata.get("namespace") if isinstance(metadata, dict) else 0
    if found is None or found == "":
        return DEFAULT_NAMESPACE
    return found if isinstance(found, str) and is_label(found) else ""


def _references(document: Mapping[str, Any]) -> list[Any] | None:
    """`targetRefs`, and `targetRef` as policies had it once; None where there are none."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return None
    found, single = spec.get("targetRefs"), spec.get("targetRef")
    if found is None and single is not None:
        found = [single]
    return found if isinstance(found, list) and 0 < len(found) <= MAX_TARGETS else None


def _targets(document: Mapping[str, Any], namespace: str) -> tuple[RefusedTarget, ...]:
    references = _references(document)
    if references is None:
        return (RefusedTarget(namespace=namespace),)
    return tuple(dict.fromkeys(_target(item, namespace) for item in references))


def _target(reference: object, namespace: str) -> RefusedTarget:
    found = reference if isinstance(reference, dict) else {}
    kind, name, section = found.get("kind"), found.get("name"), found.get("sectionName")
    return RefusedTarget(
        kind if isinstance(kind, str) and kind in BY_NAME else "",
        namespace,
        name if isinstance(name, str) and is_subdomain(name) else "",
        section if isinstance(section, str) else "",
    )
