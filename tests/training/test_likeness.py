"""How alike network and matching are on a sample of the slices."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.base import PredictOutput
from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training import likeness


@pytest.fixture
def propagated(stack):
    return propagate(stack.inked_volume())


@pytest.fixture
def predicting(stack, monkeypatch):
    """Let a network predict some probabilities (Z, K, H, W); returns the slices it is asked for."""
    asked: list[int] = []

    def answer_with(probabilities: torch.Tensor) -> list[int]:
        def predict(model, stack, slices, plan, control):
            asked.extend(slices)
            return PredictOutput(probabilities[slices], probabilities[slices])

        monkeypatch.setattr(likeness, "predict_slices", predict)
        return asked

    return answer_with


class Untrained:
    """Has what `predict_slices` is handed."""

    model = plan = None


def test_slices_from_all_over_the_volume_are_compared(stack, propagated, predicting, monkeypatch):
    asked = predicting(propagated.probabilities)
    assert likeness.sampled_likeness(Untrained(), stack, propagated, None) == 1
    assert asked == list(range(stack.depth))
    asked.clear()
    monkeypatch.setattr(likeness, "SAMPLE", 4)
    likeness.sampled_likeness(Untrained(), stack, propagated, None)
    assert asked == list(range(0, stack.depth, 3))


def test_a_network_that_sees_nothing_is_unlike_a_matching_that_does(stack, propagated, predicting):
    nothing = torch.zeros_like(propagated.probabilities)
    nothing[:, 0] = 1
    predicting(nothing)
    assert likeness.sampled_likeness(Untrained(), stack, propagated, None) == 0
    propagated.probabilities = nothing
    assert likeness.sampled_likeness(Untrained(), stack, propagated, None) == 1
