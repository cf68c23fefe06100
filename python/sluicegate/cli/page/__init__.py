"""The page of a running Sluicegate, and its JSON API `/api/v1`: read-only, for this machine, by the admin listener.

    Views (processes/viewed) -> Moment: what is so now, made once for each change -> facts (structs)
                                     -> api: JSON of the facts      -> sections: HTML of the same facts

Rules:
- Nothing is made while nobody looks: this package is loaded with the first request.
- Whatever an object says is text. HTML is made by `html.tag`, which escapes all that is not made by itself.
- No secret is ever in a fact: none is built from key material, and none from `State.policy_secrets`.
- A list is given in parts (`asked.Listing`); nothing that a client sends is kept.
"""

from __future__ import annotations

from sluicegate.observe.answering import Answer, Asked
from sluicegate.observe.aside import Make
from sluicegate.processes.viewed import Views


def make_page(views: Views) -> Make:
    """Make what answers for the page; what it needs is loaded once somebody asks."""
    made: list[Make] = []

    def answer(asked: Asked) -> Answer:
        if not made:
            from .site import Site

            made.append(Site(views))
        return made[0](asked)

    return answer
