"""ConfigMaps with fields of messages, which annotations and settings name."""

from __future__ import annotations

from collections.abc import Iterator

from .. import values
from ..features import Field
from ..reading import Reading
from ..settings import Value


def fields_of_map(reading: Reading, written: Value) -> Iterator[Field]:
    """The fields of the ConfigMap that an annotation or a setting names; what cannot be a field is told."""
    name = reading.object_name(written.text)
    found = reading.inventory.config_maps.get(name)
    if found is None:
        message = f"the ConfigMap {'/'.join(name)} is not here: its fields are missing"
        reading.ledger.tell(written.cause, "invalid", message, "give the ConfigMap as well")
        return
    for key, value in sorted(found.data.items()):
        text = " ".join(str(value).split())
        if values.is_token(key) and values.is_field_value(text):
            yield key, text
            continue
        message = f"{key} of the ConfigMap {'/'.join(name)} is no field that can be set: it is left out"
        reading.ledger.tell(written.cause, "invalid", message, "correct the ConfigMap")
