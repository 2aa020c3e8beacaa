"""Plain values against the types of their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal, get_type_hints

import pytest
import yaml

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.training.dataset.errors import DatasetError
from napari_sslseg.training.dataset.presets import build_options, plain_options
from napari_sslseg.training.dataset.settings import Settings
from napari_sslseg.training.dataset.values import checked


def test_numbers_that_yaml_takes_for_text_become_numbers():
    given = yaml.safe_load("rate: 1e-3")["rate"]
    assert given == "1e-3", "or there is nothing to mend"
    assert checked("rate", given, float) == 0.001
    assert checked("rate", 2, float) == 2.0
    assert isinstance(checked("rate", 2, float), float)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        ("fast", float, "a number, not 'fast'"),
        (True, float, "a number, not True"),
        (None, float, "a number, not None"),
        (".nan", float, "a number"),
        (float("inf"), float, "a number, not inf"),
        ([1], float, "a number"),
        (True, int, "a whole number"),
        (2.5, int, "a whole number"),
        ("8", int, "a whole number"),
        (-1, int, "0 or more"),
        (1, bool, "true or false"),
        ("false", bool, "true or false"),
        (3, str, "a name"),
        ("lion", Literal["sgd", "adamw"], "sgd or adamw, not 'lion'"),
        (["sgd"], Literal["sgd", "adamw"], "sgd or adamw"),
        (5, tuple[int, ...], "a list"),
        ([1, "x"], tuple[int, ...], "a whole number, 0 or more, not 'x'"),
        ([1.0], tuple[float, float], "a list of 2"),
        ("x", float | None, "a number"),
    ],
)
def test_what_is_not_of_the_type_is_told(value, hint, words):
    with pytest.raises(DatasetError, match=f"^it must be .*{words}"):
        checked("it", value, hint)


def test_nothing_is_given_where_nothing_may_be():
    assert checked("it", None, float | None) is None
    assert checked("it", "1e-3", float | None) == 0.001
    assert checked("it", [1, 2], tuple[int, ...]) == (1, 2)


@pytest.mark.parametrize("name", registry.available())
def test_every_option_of_every_framework_has_a_check(name):
    config = registry.config_of(name)
    for each in fields(config):
        built = build_options(name, {each.name: getattr(config(), each.name)})
        assert built[each.name] == getattr(config(), each.name)
        with pytest.raises(DatasetError, match=each.name):
            build_options(name, {each.name: object()})


def test_every_setting_of_a_run_has_a_check():
    given = Settings("default", "combined")
    for name, hint in get_type_hints(Settings).items():
        assert checked(name, getattr(given, name), hint) == getattr(given, name)


def test_options_are_numbers_whichever_way_they_are_written():
    given = yaml.safe_load("{cross: 1e-1, weak: {rotation: 2e1, scale: [9e-1, 1]}, grid: 32}")
    built = build_options("semsim", given)
    assert (built["cross"], built["weak"].rotation, built["weak"].scale) == (0.1, 20.0, (0.9, 1.0))
    assert plain_options("semsim", given) == {
        "cross": 0.1,
        "weak": {"rotation": 20.0, "scale": [0.9, 1.0]},
        "grid": 32,
    }
    orders = {"regions": {"labelled_order": [1, 2, 3, 4], "scale": 50.0}}
    assert plain_options("cps", orders) == orders


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cross": "much"}, "cross must be a number"),
        ({"second_view": "no"}, "second_view must be true or false"),
        ({"fusion": "deep"}, "fusion must be spatial or simple"),
        ({"channels": 16}, "channels must be a list"),
        ({"weak": {"flip": "often"}}, "flip of weak must be a number"),
        ({"weak": 3}, "weak must be “name: value” pairs"),
        ({"regions": {"labelled_order": [1, 9]}}, "labelled_order of regions must be one of 1, 2"),
        ({"depth": 3}, "Semsim has no option depth"),
    ],
)
def test_options_that_cannot_be_are_told_by_name(options, words):
    with pytest.raises(DatasetError, match=words):
        build_options("semsim", options)
