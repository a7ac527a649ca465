from dataclasses import dataclass
from typing import Any

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.descriptions import parse, read_yaml


@dataclass
class Shape:
    name: str
    sides: int = 3
    style: dict[str, Any] | None = None


@dataclass
class Place:
    x: float = 0.0
    hidden: int = 1


def test_only_what_is_given_is_returned_with_its_type():
    described = {"name": "a", "style": {"line.width": 1, 2: None}, "x": 1, "sides": None}
    found = parse(described, "a shape", Shape, Place, skip=("hidden",))
    assert found == {"name": "a", "style": {"line.width": 1, 2: None}, "x": 1.0}
    assert isinstance(found["x"], float)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"name": "a", "hidden": 2}, "a shape: there is no key hidden. There are name, sides, style, x."),
        ({"name": "a", "x": 0, "size": {}}, "a shape: there is no key size. There are name, sides, style, x."),
        ({"name": "a", 3: None}, "a shape: there is no key 3. There are name, sides, style, x."),
        ({}, "a shape: key name is missing. There are name, sides, style, x."),
        ({"name": "a", "sides": "many"}, "a shape, sides: must be int, not many."),
        ({"name": "a", "style": 3}, "a shape, style: must be one of dict, not 3."),
        (["name"], "a shape must be a mapping with keys of name, sides, style, x, not ['name']."),
        (None, "a shape must be a mapping with keys of name, sides, style, x, not None."),
    ],
)
def test_a_mistake_is_one_line_with_place_and_key(described, message):
    with pytest.raises(UserError) as raised:
        parse(described, "a shape", Shape, Place, skip=("hidden",))
    assert str(raised.value) == message


def test_a_file_that_is_no_yaml_is_refused_in_one_line(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: [1, 2]")
    assert read_yaml(path, "things") == {"a": [1, 2]}
    path.write_text("a: [1,\nb: {")
    with pytest.raises(UserError, match=r"^cannot read the things .*x\.yaml: [^\n]*$"):
        read_yaml(path, "things")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read the things"):
        read_yaml(path, "things")
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_yaml(tmp_path / "none.yaml", "things")
