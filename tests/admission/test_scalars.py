"""Scalars of manifests are what an API server reads."""

from __future__ import annotations

import pytest
from scalars import REFUSED, SCALARS

from sluicegate.controller.sources.files.json_text import read_values
from sluicegate.controller.sources.files.loader import YamlError, load


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar(text: str) -> None:
    wanted = SCALARS[text]
    # The second has an anchor, and is read the long way.
    for document in (f"value: {text}", f"a: &a b\nvalue: {text}"):
        found = load(document).value
        assert isinstance(found, dict)
        assert (type(found["value"]), found["value"]) == (type(wanted), wanted)


@pytest.mark.parametrize("text", REFUSED)
def test_what_json_does_not_have(text: str) -> None:
    with pytest.raises(YamlError, match="JSON has no"):
        load(f"value: {text}")


@pytest.mark.parametrize(("text", "wanted"), [("80.0", 80), ("8e1", 80), ("80.5", 80.5), ("1e21", 1e21)])
def test_a_number_of_json(text: str, wanted: float) -> None:
    [found] = read_values(f'{{"value": {text}}}')
    assert isinstance(found.value, dict)
    assert (type(found.value["value"]), found.value["value"]) == (type(wanted), wanted)
