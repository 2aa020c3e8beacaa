"""The training loop: repeatable, stoppable, and predicting as it was trained."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training.clock import Clock
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.events import Loss
from napari_sslseg.training.plan import make_plan
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.sampler import Prior, Sampler
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.trainer import Trainer, predict_slices

from .conftest import lighten, make_image, make_ink, make_truth


@pytest.fixture(scope="module")
def stack():
    truth = make_truth()
    return SliceStack.from_volume(make_image(truth), make_ink(truth), 0, (2.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def propagated(stack):
    return propagate(stack.inked_volume())


@pytest.fixture(scope="module")
def plan(stack, propagated):
    device = torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        return make_plan(stack, TrainRequest(), device, 1 - propagated.probabilities[:, 0])


def make_sampler(stack, propagated, plan) -> Sampler:
    prior = Prior(propagated.probabilities.half(), propagated.confidence.half())
    return Sampler(stack, stack.ink, prior, plan, torch.Generator().manual_seed(0))


def make_trainer(stack, plan, control=None, emit=lambda event: None) -> Trainer:
    torch.manual_seed(0)
    control = control or Control()
    model = registry.create(plan.framework, stack.in_channels, stack.classes, **plan.options)
    return Trainer(model, plan, Clock(60, control), control, emit, 0)


def test_a_batch_has_ink_only_on_labelled_frames(stack, propagated, plan):
    batch = make_sampler(stack, propagated, plan).draw()
    h, w = plan.tiles.size
    assert batch.labelled_image.shape == (plan.labelled, stack.in_channels, h, w)
    assert batch.unlabelled_image.shape == (plan.unlabelled, stack.in_channels, h, w)
    assert (batch.labelled_target != 255).flatten(1).any(1).all()
    assert batch.prior.shape == (plan.unlabelled, stack.classes, h, w)
    assert float(batch.prior_weight.max()) <= 1


def test_the_same_seed_trains_the_same_network(stack, propagated, plan):
    torch.set_num_threads(1)
    states = []
    for _ in range(2):
        trainer = make_trainer(stack, plan)
        sampler = make_sampler(stack, propagated, plan)
        trainer.run(sampler, 1e9, False, lambda share: None, max_steps=4)
        assert trainer.step == 4
        states.append(trainer.model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.fixture(scope="module")
def trained(stack, propagated, plan):
    """Train once, and keep what was told of each step."""
    events: list[Loss] = []
    trainer = make_trainer(stack, plan, emit=events.append)
    sampler = make_sampler(stack, propagated, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_sslseg.training.trainer.REPORT_EVERY", 0.0)
        trainer.run(sampler, 1e9, False, lambda share: None, max_steps=50)
    return trainer, events


def test_training_lowers_the_loss_and_reports_it(trained):
    supervised = [e.parts["supervised"] for e in trained[1]]
    assert len(supervised) == 50
    assert sum(supervised[-5:]) < 0.6 * sum(supervised[:5])


def test_cancel_stops_between_two_steps(stack, propagated, plan):
    control = Control()
    trainer = make_trainer(stack, plan, control)
    control.cancel()
    with pytest.raises(Cancelled):
        trainer.run(make_sampler(stack, propagated, plan), 1e9, False, lambda share: None)
    assert trainer.step == 0


def test_settled_statistics_make_prediction_see_what_training_saw(stack, plan, trained):
    trainer, _ = trained
    trainer.settle_statistics(stack)
    slices = list(range(stack.depth))
    output = predict_slices(trainer.model, stack, slices, plan, Control())
    assert output.plain.shape == (stack.depth, stack.classes, *stack.image.shape[-2:])
    assert torch.allclose(output.plain.float().sum(1), torch.ones(()), atol=1e-2)
    inked = stack.references()
    right = (output.plain[inked].argmax(1) == stack.ink[inked]).float().mean()
    assert right > 0.85


def test_a_run_on_a_volume_cuts_long_gradients(stack, propagated, plan, monkeypatch):
    trainer = make_trainer(stack, plan)
    losses = trainer.framework.losses

    def loud(*given):
        parts = losses(*given)
        return {**parts, "total": 1e4 * parts["total"]}

    monkeypatch.setattr(trainer.framework, "losses", loud)
    trainer.one_step(make_sampler(stack, propagated, plan), 0.0)
    grads = [p.grad for p in trainer.framework.parameters() if p.grad is not None]
    assert float(torch.stack([g.norm() for g in grads]).norm()) == pytest.approx(5, rel=1e-3)
