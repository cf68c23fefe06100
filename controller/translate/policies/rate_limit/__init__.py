"""RateLimitPolicy by itself: a module for each stanza."""

from __future__ import annotations

from ....api import Diagnostics, RateLimitPolicy
from ...secrets import Material
from ..draft import Draft
from ..judged import Judgement
from .local import judge_local


def judge_rate_limit(policy: RateLimitPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft = Draft(policy, material, diagnostics)
    return draft.judgement({"local": judge_local(draft, policy.spec.local)})
