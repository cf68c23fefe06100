"""Attributes of session cookies, as controllers write them."""

from __future__ import annotations

from typing import Literal

SameSite = Literal["", "Strict", "Lax", "None"]
_SAME_SITE: dict[str, SameSite] = {"strict": "Strict", "lax": "Lax", "none": "None"}


def same_site(text: str) -> SameSite | None:
    """The attribute; empty where nothing is written; None: it is none."""
    return _SAME_SITE.get(text.lower()) if text else ""
