"""One policy by itself: what its own module says of it, and how that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluicegate import ir

from ...api import Diagnostic, Object
from ..status import Verdict
from ..topology import Read
from .effective import Source, Target


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the module of a kind says of one policy, whatever it is attached to.

    Attributes:
        accepted, resolved: verdicts on the policy and on its references.
        stanzas: the IR of each stanza that is set, by name. One that cannot be honoured is there all the same: what
            names it answers 500 rather than go without it.
        off: stanzas that switch an inherited one off.
        overrides: `strategy: Overrides`.
        secrets: what stanzas know and nobody else may, by id.
    """

    accepted: Verdict
    resolved: Verdict
    stanzas: Mapping[str, ir.PolicyBase]
    off: frozenset[str] = frozenset()
    overrides: bool = False
    secrets: Mapping[str, ir.PolicySecret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needed:
    """What has to be in the IR where a policy is: CA bundles, certificates and secrets by id, and ids of backends."""

    trust: Mapping[str, ir.Trust] = field(default_factory=dict)
    certificates: Mapping[str, ir.Certificate] = field(default_factory=dict)
    secrets: Mapping[str, ir.PolicySecret] = field(default_factory=dict)
    backends: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Attachment:
    """One of `targetRefs`; `error`: why nothing of the kind can be a target."""

    path: str
    target: Target
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A policy with all that holds until it, or something that it refers to, changes.

    Attributes:
        policy: as written.
        judgement: of its module.
        attachments: its targets, in the order written.
        source: the policy as far as merging goes.
        resources: IR by id.
        material: what they need.
        diagnostics: what is told about the policy itself.
        reads: what it refers to.
    """

    policy: Object
    judgement: Judgement
    attachments: tuple[Attachment, ...]
    source: Source
    resources: Mapping[str, ir.PolicyBase]
    material: Needed = field(default_factory=Needed)
    diagnostics: tuple[Diagnostic, ...] = ()
    reads: frozenset[Read] = frozenset()
