"""Optimisers of a run on a data set: clipping, moments, and biases apart."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from napari_sslseg.methods.frameworks import Batch, create
from napari_sslseg.training.control import Control
from napari_sslseg.training.dataset.settings import Settings
from napari_sslseg.training.dataset.trainer import DatasetTrainer

CPU = torch.device("cpu")
RPG = Settings(
    "rpg", "supervised", optimiser="adamw", betas=(0.9, 0.99), bias_rate=2.0, bias_decay=False
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _trainer(settings: Settings) -> DatasetTrainer:
    torch.manual_seed(0)
    framework = create("supervised", 1, 2, channels=(4, 8, 8, 16), dropout=(0.0,) * 4)
    return DatasetTrainer(framework, settings, CPU, (32, 32), Control())


class Same:
    """Draws the same batch again and again."""

    def draw(self) -> Batch:
        """Return a batch."""
        g = torch.Generator().manual_seed(0)
        image = torch.randn(2, 1, 32, 32, generator=g)
        return Batch(image, (image[:, 0] > 0).long(), image[:0])


def _gradient_of_a_step(settings: Settings, monkeypatch) -> float:
    trainer = _trainer(settings)
    losses = trainer.framework.losses

    def loud(*given):
        parts = losses(*given)
        return {**parts, "total": 1e4 * parts["total"]}

    monkeypatch.setattr(trainer.framework, "losses", loud)
    trainer.one_step(Same(), 0.0)
    grads = [p.grad for p in trainer.framework.parameters() if p.grad is not None]
    return float(torch.stack([g.norm() for g in grads]).norm())


def test_gradients_are_cut_where_asked_and_nowhere_else(monkeypatch):
    plain = Settings("supervised", "supervised")
    assert plain.clip is None
    assert _gradient_of_a_step(plain, monkeypatch) > 50
    cut = _gradient_of_a_step(replace(plain, clip=5.0), monkeypatch)
    assert cut == pytest.approx(5, rel=1e-3)


def test_biases_can_be_trained_apart():
    trainer = _trainer(RPG)
    weights, biases = trainer.optimizer.param_groups
    assert weights["betas"] == biases["betas"] == (0.9, 0.99)
    assert (weights["weight_decay"], biases["weight_decay"]) == (1e-4, 0)
    names = {id(p): name for name, p in trainer.framework.named_parameters()}
    assert all(not names[id(p)].endswith("bias") for p in weights["params"])
    assert all(names[id(p)].endswith("bias") for p in biases["params"])
    assert len(weights["params"]) + len(biases["params"]) == len(names)
    trainer.train(Same(), lambda *_: None, lambda _: None, deadline=0.0)
    trainer._set_rate(0.0, False)
    assert (weights["lr"], biases["lr"]) == (0.01, 0.02)


def test_all_are_trained_alike_by_default():
    for optimiser in ("sgd", "adamw"):
        (group,) = _trainer(Settings("x", "supervised", optimiser=optimiser)).optimizer.param_groups
        assert group["weight_decay"] == 1e-4
        assert group.get("betas", (0.9, 0.999)) == (0.9, 0.999)


def test_rates_of_groups_survive_a_restored_state():
    first, second = _trainer(RPG), _trainer(RPG)
    first._set_rate(0.0, False)
    first.one_step(Same(), 0.0)
    second.restore(copy.deepcopy(first.state()))
    second._set_rate(0.0, False)
    assert [g["lr"] for g in second.optimizer.param_groups] == [0.01, 0.02]
    for trainer in (first, second):
        trainer.one_step(Same(), 0.1)
    states = [t.framework.state_dict() for t in (first, second)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_published_optimiser_has_momentum_and_decay(monkeypatch):
    trainer = _trainer(Settings("supervised", "supervised", learning_rate=0.01))
    weight = next(iter(trainer.framework.parameters()))
    velocity, expected = torch.zeros_like(weight), weight.detach().clone()
    for _ in range(2):
        trainer.one_step(Same(), 0.0)
        velocity = 0.9 * velocity + weight.grad + 1e-4 * expected
        expected = expected - trainer.optimizer.param_groups[0]["lr"] * velocity
        torch.testing.assert_close(weight.detach(), expected)


def test_rates_fall_to_a_tenth_at_the_published_parts_of_the_training():
    trainer = _trainer(Settings("rpg", "supervised", learning_rate=1e-3, schedule="steps"))
    (group,) = trainer.optimizer.param_groups
    found = []
    for part in (0, 59.9, 60, 89.9, 90, 99.9, 100, 109):
        trainer._set_rate(part / 110, False)
        found.append(float(group["lr"]))
    assert found == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])
