"""What all structs of the format have in common."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Port: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF)]
#: What 0 is nothing for.
Positive32: TypeAlias = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
Unsigned32: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
#: Up to 2^64 - 1 natively; more than 2^63 - 1 is nothing that a counter or a duration reaches.
Unsigned64: TypeAlias = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]
Positive64: TypeAlias = Annotated[int, Meta(ge=1, le=0x7FFF_FFFF_FFFF_FFFF)]
Signed64: TypeAlias = Annotated[int, Meta(ge=-0x8000_0000_0000_0000, le=0x7FFF_FFFF_FFFF_FFFF)]


class Base(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Frozen, strict, small. Type checkers need `frozen` and `kw_only` said again by each."""
