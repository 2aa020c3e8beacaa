"""Ranges of options: every number has one, and what is out of it is told in one sentence."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.training.dataset.errors import DatasetError
from napari_sslseg.training.dataset.presets import build_options
from napari_sslseg.training.dataset.ranges import RANGES, range_of


def _is_number(hint: Any) -> bool:
    return hint in (int, float) or any(_is_number(part) for part in get_args(hint))


def _numbers(kind: type) -> list[tuple[type, str]]:
    """Return the options of a class that are numbers, those of classes within it too."""
    found = []
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            found += _numbers(hint)
        elif _is_number(hint):
            found.append((kind, name))
    return found


@pytest.mark.parametrize("name", registry.available())
def test_every_number_has_a_range(name):
    numbers = _numbers(registry.config_of(name))
    assert len(numbers) > 25
    assert [option for kind, option in numbers if range_of(kind, option) is None] == []


def test_ranges_are_of_options_that_there_are():
    for kind, ranges in RANGES.items():
        assert ranges.keys() <= {field.name for field in fields(kind)}, kind


@pytest.mark.parametrize(
    ("framework", "options", "words"),
    [
        ("rpg", {"neighbours": 0}, "neighbours must be at least 1, not 0"),
        ("rpg", {"grid": 0}, "grid must be at least 1, not 0"),
        ("rpg", {"temperature": 0}, "temperature must be more than 0, not 0"),
        ("rpg", {"strong": {"aspect": 0}}, "aspect of strong must be more than 0, up to 1, not 0"),
        ("rpg", {"strong": {"sigma": [2, 1]}}, "sigma of strong must be a smallest and a largest"),
        ("rpg", {"weak": {"scale": [0, 1]}}, "scale of weak must be more than 0"),
        ("cps", {"weak": {"flip": 1.5}}, "flip of weak must be from 0 to 1, not 1.5"),
        ("cps", {"channels": [4, 0]}, "channels must be at least 1, not 0"),
        ("cps", {"channels": []}, "channels must be a list of at least one number"),
        ("cps", {"cross": -1}, "cross must be at least 0, not -1"),
        ("cps", {"regions": {"rate": 2}}, "rate of regions must be from 0 to 1"),
        ("cps", {"regions": {"scale": 0}}, "scale of regions must be more than 0, not 0"),
        ("cps", {"regions": {"ratio": 1e-30}}, "ratio of regions must be at least 1, not 1e-30"),
        ("unimatch", {"feature_dropout": 1}, "feature_dropout must be from 0 to below 1, not 1"),
        ("semsim", {"cross_threshold": 2}, "cross_threshold must be from 0 to 1"),
        ("combined", {"similarity_every": 0}, "similarity_every must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_told(framework, options, words):
    with pytest.raises(DatasetError, match=f"^{words}") as caught:
        build_options(framework, options)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_nothing_is_in_range_where_nothing_may_be():
    given = {"temperature": None, "most_references": None}
    assert build_options("rpg", given) == given
