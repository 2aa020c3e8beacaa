"""Steps that are not finite change nothing, and what is not finite is told apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_sslseg.methods.frameworks import Batch, create
from napari_sslseg.training.control import Control
from napari_sslseg.training.dataset.settings import Settings
from napari_sslseg.training.dataset.trainer import DatasetTrainer
from napari_sslseg.training.finite import StepGuard, is_finite

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_numbers_of_a_state_are_looked_at_wherever_they_are():
    assert is_finite({"a": [torch.ones(2), {"b": None, "c": 3, "d": "nan"}], "e": 0.5})
    assert is_finite(torch.tensor([255], dtype=torch.uint8))
    for bad in (torch.tensor([1.0, float("nan")]), float("inf"), [{"x": torch.tensor(torch.inf)}]):
        assert not is_finite({"state": bad})


class Drawn:
    """Draws batches, of which one has an image that is no number."""

    def __init__(self, broken: int) -> None:
        self.left = broken
        self.generator = torch.Generator().manual_seed(0)

    def draw(self) -> Batch:
        """Return a batch."""
        image = torch.randn(2, 1, 16, 16, generator=self.generator)
        target = (image[:, 0] > 0).long()
        other = torch.randn(2, 1, 16, 16, generator=self.generator)
        self.left -= 1
        if self.left == 0:
            image[0, 0, 3, 4] = torch.nan
            other[1, 0, 5, 6] = torch.nan
        return Batch(image, target, other)


@pytest.mark.parametrize(("optimiser", "clip"), [("adamw", 5.0), ("sgd", None)])
@pytest.mark.parametrize("name", ["combined", "mean_teacher", "fixmatch", "cps", "supervised"])
@pytest.mark.parametrize("broken", [1, 3])
def test_one_step_without_numbers_ruins_nothing_that_is_kept(name, optimiser, clip, broken):
    torch.manual_seed(0)
    framework = create(name, 1, 2, channels=(4, 8, 8, 16), dropout=(0.0,) * 4)
    settings = Settings("auto", name, optimiser=optimiser, clip=clip, steps=5)
    trainer = DatasetTrainer(framework, settings, CPU, (16, 16), Control())
    begun = {name: value.clone() for name, value in framework.named_parameters()}
    logged = []
    trainer.train(Drawn(broken), lambda step, values: logged.append(values), lambda step: None)
    assert is_finite(trainer.state())
    # The other steps have taught, and are what is told.
    assert is_finite(logged)
    averaged = dict(trainer.model.named_parameters())
    assert any(not torch.equal(value, averaged[name]) for name, value in begun.items())


def test_a_guard_takes_back_what_a_broken_step_did_and_nothing_else():
    layer = nn.BatchNorm2d(2)
    for norm, kept in ((1.0, True), (float("inf"), False), (float("nan"), False)):
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        guard = StepGuard(layer)
        layer(torch.randn(3, 2, 4, 4) + 5).sum().backward()
        guard.apply(torch.tensor(norm))
        assert torch.equal(layer.running_mean, before["running_mean"]) != kept
        assert torch.equal(layer.running_var, before["running_var"]) != kept
        assert bool(layer.bias.grad.any()) == kept
        layer.zero_grad()
    # Of a step with a gradient, too, statistics that are none are not taken.
    guard = StepGuard(layer)
    layer.running_mean[0], layer.running_mean[1] = torch.inf, 7.0
    guard.apply(torch.tensor(1.0))
    assert layer.running_mean[0].isfinite()
    assert layer.running_mean[1] == 7
