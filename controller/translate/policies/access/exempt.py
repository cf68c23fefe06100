"""`exempt`: whom no credentials are asked of."""

from __future__ import annotations

from sluicegate import ir

from ....api.access_policy import ExemptStanza
from ..draft import Draft
from ..networks import check_networks
from .conditions import check_condition


def judge_exempt(draft: Draft, stanza: ExemptStanza | None) -> ir.AccessExempt | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("exempt", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessExempt(**head)
    path = "exempt"
    if not (stanza.clients or stanza.methods or stanza.when):
        draft.refuse(path, "nothing says who is exempt", "give clients, methods or when")
    check_networks(draft, f"{path}.clients", stanza.clients)
    check_condition(draft, f"{path}.when", stanza.when, "exemption")
    return ir.AccessExempt(
        **head,
        invalid=draft.faults > faults,
        clients=stanza.clients,
        methods=stanza.methods,
        when=stanza.when,
    )
