"""How network and matching are mixed."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.methods.frameworks.base import PredictOutput
from napari_sslseg.training.recipe import DEFAULT, Recipe, choose, set_temperature


def probs(value: float) -> torch.Tensor:
    return torch.tensor([1 - value, value]).reshape(1, 2, 1, 1)


def test_a_mixture_is_between_its_parts():
    output = PredictOutput(probs(0.8), probs(0.6))
    assert torch.allclose(Recipe(0.5, None).mix(output, probs(0.4)), probs(0.6))
    assert torch.allclose(Recipe(0.5, 0.1).mix(output, probs(0.4)), probs(0.5))
    assert torch.allclose(Recipe(0.3, None).mix(output, None), probs(0.8))


def test_a_recipe_survives_json():
    assert Recipe(**Recipe(0.7, 0.05).to_json()) == Recipe(0.7, 0.05)


def stub(output: PredictOutput, can_rectify: bool = True):
    config = registry.create("combined", 1, 2, channels=(4, 8, 16, 32), fusion_width=16).config
    return SimpleNamespace(config=config if can_rectify else object()), lambda: output


def truth_is_one(p: torch.Tensor) -> float:
    return float(p[0, 1, 0, 0])


def test_a_network_that_is_clearly_better_gets_a_larger_share():
    model, predict = stub(PredictOutput(probs(0.9), probs(0.1)))
    recipe, score = choose(model, predict, probs(0.2), truth_is_one, 0.5)
    assert recipe == Recipe(0.7, None)
    assert abs(score - (0.7 * 0.9 + 0.3 * 0.2)) < 1e-6


def test_the_distance_of_the_left_out_slice_is_allowed_for():
    model, predict = stub(PredictOutput(probs(0.7), probs(0.7)))
    near, _ = choose(model, predict, probs(0.4), truth_is_one, 1.0)
    far, _ = choose(model, predict, probs(0.4), truth_is_one, 0.3)
    assert near.share > DEFAULT.share > far.share


def test_rectification_is_taken_only_when_it_clearly_helps():
    model, predict = stub(PredictOutput(probs(0.5), probs(0.9)))
    recipe, _ = choose(model, predict, None, truth_is_one, 1.0)
    assert recipe.temperature is not None
    assert recipe.share == 1
    model, predict = stub(PredictOutput(probs(0.5), probs(0.51)))
    recipe, _ = choose(model, predict, None, truth_is_one, 1.0)
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
