"""Fields of BackendPolicy that are one of two words."""

from __future__ import annotations

from .draft import BackendDraft


def judge_choice(draft: BackendDraft, said: str, field: str, usual: str, other: str) -> bool:
    """Whether it is the other word; what is neither is refused."""
    if said not in {usual, other}:
        draft.refuse(field, f"{said} is not known", f"use {usual} or {other}")
    return said == other
