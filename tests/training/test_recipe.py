"""How network and matching are mixed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.methods.frameworks.base import PredictOutput
from napari_sslseg.training.recipe import (
    ALIKE,
    Recipe,
    choose,
    doubt,
    pixels_away,
    set_temperature,
    usual_distance,
)


def probs(value: float) -> torch.Tensor:
    return torch.tensor([1 - value, value]).reshape(1, 2, 1, 1)


def at(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels)


def test_a_mixture_is_between_its_parts():
    output = PredictOutput(probs(0.8), probs(0.6))
    assert torch.allclose(Recipe().mix(output, probs(0.4), at(ALIKE)), probs(0.6))
    assert torch.allclose(Recipe(0.1).mix(output, probs(0.4), at(ALIKE)), probs(0.5))
    assert torch.allclose(Recipe(alike=2.0).mix(output, probs(0.4), at(2.0)), probs(0.6))
    assert torch.allclose(Recipe().mix(output, None, at(ALIKE)), probs(0.8))
    assert torch.allclose(Recipe(heard=False).mix(output, probs(0.4), at(ALIKE)), probs(0.4))


def test_the_network_counts_more_the_farther_known_slices_are():
    output = PredictOutput(probs(1.0).repeat(4, 1, 1, 1), probs(0.0).repeat(4, 1, 1, 1))
    matched = probs(0.0).repeat(4, 1, 1, 1)
    shares = Recipe().mix(output, matched, at(0, ALIKE / 4, 3 * ALIKE, 1e6))[:, 1, 0, 0]
    assert torch.allclose(shares, at(0, 0.2, 0.75, 1), atol=1e-4)


def test_distances_are_in_pixels_of_a_slice():
    away = pixels_away(6, [1, 4], (2.0, 0.5, 0.5))
    assert away.tolist() == [4, 0, 4, 4, 0, 4]
    assert usual_distance(away, [1, 4]) == 4
    assert pixels_away(3, [0, 2], (1e-3, 1e-3, 4e-3)).tolist() == [0, 0.5, 0]  # any unit
    # Nothing lies between two neighbours: then what lies outside tells.
    assert usual_distance(pixels_away(4, [0, 1], (1.0, 1.0, 1.0)), [0, 1]) == 0.75
    assert (pixels_away(3, [], (1.0, 1.0, 1.0)) > 1e5).all()


def test_a_recipe_survives_json():
    assert Recipe(**Recipe(0.05, False).to_json()) == Recipe(0.05, False)


def stub(output: PredictOutput, can_rectify: bool = True):
    config = registry.create("combined", 1, 2, channels=(4, 8, 16, 32), fusion_width=16).config
    return SimpleNamespace(config=config if can_rectify else object()), lambda: output


def truth_is_one(p: torch.Tensor) -> float:
    return float(p[0, 1, 0, 0])


def test_the_score_is_that_of_the_mixture_at_the_usual_distance():
    model, predict = stub(PredictOutput(probs(0.9), probs(0.1)))
    recipe, score, _ = choose(model, predict, probs(0.2), truth_is_one, at(ALIKE))
    assert recipe == Recipe()
    assert abs(score - (0.9 + 0.2) / 2) < 1e-6


def test_rectification_is_taken_only_when_it_clearly_helps():
    model, predict = stub(PredictOutput(probs(0.5), probs(0.9)))
    recipe, *_ = choose(model, predict, None, truth_is_one, at(ALIKE))
    assert recipe.temperature is not None
    model, predict = stub(PredictOutput(probs(0.5), probs(0.51)))
    recipe, *_ = choose(model, predict, None, truth_is_one, at(ALIKE))
    assert recipe.temperature is None


def test_the_temperature_reaches_the_prediction():
    torch.manual_seed(0)
    model = registry.create("semsim", 1, 2, channels=(4, 8, 16, 32), fusion_width=16)
    image = torch.randn(1, 1, 32, 32)
    set_temperature(model, 1.0)
    blurred = model.predict(image)
    set_temperature(model, 0.01)
    sharp = model.predict(image)
    assert torch.allclose(blurred.plain, sharp.plain)
    assert not torch.allclose(blurred.rectified, sharp.rectified)


def test_a_network_that_differs_by_more_than_the_matching_errs_is_believed_farther_away():
    assert doubt(0.9, 0.8) == doubt(0.9, 0.9) == doubt(0.5, None) == 1
    assert doubt(0.8, 0.9) == pytest.approx(4)
    assert math.isfinite(doubt(0.9, 1.0))
    assert doubt(math.nan, 0.9) == 1
