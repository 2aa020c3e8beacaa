"""What a network predicted, taken over while it would say the same."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.base import PredictOutput
from napari_sslseg.training import kept_prediction
from napari_sslseg.training.kept_prediction import KeptPrediction
from napari_sslseg.training.tiles import Tiles
from napari_sslseg.volume.annotation import NOT_ANNOTATED

TILES = Tiles((24, 24), ((0, 3), (8, 3)))
WEIGHTS = "model-000001.safetensors"


def where(*pixels: tuple[int, int]) -> torch.Tensor:
    found = torch.zeros(1, 36, 40)
    for row, column in pixels:
        found[0, row, column] = 1
    return found


MIDDLE = where((15, 15))


@pytest.fixture
def stack(stack):
    """Nothing is inked, so that objects are where a test says."""
    stack.ink[:] = NOT_ANNOTATED
    return stack


def predicted(depth: int = 14, seed: int = 0) -> torch.Tensor:
    """Probabilities within the frames, background around them."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(depth, 3, 36, 40)
    found[:, 0] = 1
    found[..., :32, 3:27] = torch.rand(depth, 3, 32, 24, generator=generator).softmax(1)
    return found.half()


@pytest.mark.parametrize("rectified", [True, False])
def test_a_prediction_comes_back_to_the_bit(project, stack, rectified):
    plain = predicted()
    output = PredictOutput(plain, predicted(seed=1) if rectified else plain)
    kept = KeptPrediction(project, stack)
    kept.keep(output, WEIGHTS, TILES)
    back = kept.of(WEIGHTS, MIDDLE)
    assert torch.equal(back.plain, output.plain)
    assert torch.equal(back.rectified, output.rectified)


def test_that_of_another_network_or_another_volume_is_left(project, stack):
    kept = KeptPrediction(project, stack)
    kept.keep(PredictOutput(predicted(), predicted()), WEIGHTS, TILES)
    assert kept.of("model-000002.safetensors", MIDDLE) is None
    stack.outside = [0]
    assert KeptPrediction(project, stack).of(WEIGHTS, MIDDLE) is None


def test_where_the_object_leaves_the_frames_nothing_is_taken_over(project, stack):
    kept = KeptPrediction(project, stack)
    kept.keep(PredictOutput(predicted(), predicted()), WEIGHTS, TILES)
    assert kept.of(WEIGHTS, where((15, 15), (25, 20))) is not None
    assert kept.of(WEIGHTS, where((15, 15), (28, 20))) is None
    stack.ink[7, 15, 30] = 1
    assert kept.of(WEIGHTS, MIDDLE) is None


def test_a_prediction_that_would_fill_the_disk_is_not_kept(project, stack, monkeypatch):
    monkeypatch.setattr(kept_prediction, "MOST_BYTES", 1000)
    kept = KeptPrediction(project, stack)
    kept.keep(PredictOutput(predicted(), predicted()), WEIGHTS, TILES)
    assert kept.of(WEIGHTS, MIDDLE) is None
    assert not project.kept.exists()
