"""What a network predicted, taken over while it would say the same."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.base import PredictOutput
from napari_sslseg.training import kept_prediction
from napari_sslseg.training.kept_prediction import KeptPrediction
from napari_sslseg.training.tiles import Tiles

TILES = Tiles((16, 24), ((2, 3), (10, 3)), 1)


def predicted(depth: int = 14, seed: int = 0) -> torch.Tensor:
    """Probabilities within the frames, background around them."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(depth, 3, 36, 40)
    found[:, 0] = 1
    found[..., 2:26, 3:27] = torch.rand(depth, 3, 24, 24, generator=generator).softmax(1)
    return found.half()


@pytest.mark.parametrize("rectified", [True, False])
def test_a_prediction_comes_back_to_the_bit(project, stack, rectified):
    plain = predicted()
    output = PredictOutput(plain, predicted(seed=1) if rectified else plain)
    kept = KeptPrediction(project, stack)
    kept.keep(output, "model-000001.safetensors", TILES)
    back = kept.of("model-000001.safetensors", TILES)
    assert torch.equal(back.plain, output.plain)
    assert torch.equal(back.rectified, output.rectified)


def test_that_of_another_network_or_another_place_is_left(project, stack):
    kept = KeptPrediction(project, stack)
    kept.keep(PredictOutput(predicted(), predicted()), "model-000001.safetensors", TILES)
    assert kept.of("model-000002.safetensors", TILES) is None
    assert kept.of("model-000001.safetensors", Tiles(TILES.size, ((2, 3), (12, 3)))) is None
    stack.outside = [0]
    assert KeptPrediction(project, stack).of("model-000001.safetensors", TILES) is None


def test_a_prediction_that_would_fill_the_disk_is_not_kept(project, stack, monkeypatch):
    monkeypatch.setattr(kept_prediction, "MOST_BYTES", 1000)
    kept = KeptPrediction(project, stack)
    kept.keep(PredictOutput(predicted(), predicted()), "model-000001.safetensors", TILES)
    assert kept.of("model-000001.safetensors", TILES) is None
    assert not project.kept.exists()
