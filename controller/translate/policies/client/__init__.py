"""ClientPolicy by itself: a module for each stanza."""

from __future__ import annotations

from ....api import ClientPolicy, Diagnostics
from ...secrets import Material
from ..draft import Draft
from ..judged import Judgement
from .address import judge_address
from .body import judge_body


def judge_client(policy: ClientPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft = Draft(policy, material, diagnostics)
    return draft.judgement(
        {
            "clientAddress": judge_address(draft, policy.spec.client_address),
            "body": judge_body(draft, policy.spec.body),
        }
    )
