"""Steps that are recorded on CUDA, and simply done elsewhere."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch

from napari_sslseg.methods.frameworks import create
from napari_sslseg.methods.frameworks.base import Batch
from napari_sslseg.training.captured import WARM_UP, CapturedStep
from napari_sslseg.training.clock import Clock
from napari_sslseg.training.control import Control
from napari_sslseg.training.plan import Plan
from napari_sslseg.training.tiles import Tiles
from napari_sslseg.training.trainer import Trainer


def batch(value: float = 1.0, side: int = 8, device: str = "cpu") -> Batch:
    image = torch.full((2, 1, side, side), value, device=device)
    return Batch(image, torch.zeros(2, side, side, dtype=torch.uint8, device=device), image)


def test_on_a_processor_the_step_is_called_with_the_progress_as_a_number():
    seen = []

    def step(given, progress):
        seen.append((given, progress))
        return {"total": given.labelled_image.sum()}

    captured = CapturedStep(step, torch.device("cpu"), torch.Generator())
    given = batch()
    assert float(captured(given, 0.25)["total"]) == 128
    assert seen == [(given, 0.25)]
    assert not captured.replays


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_replays_use_the_new_batch_progress_and_random_numbers():
    device = torch.device("cuda")
    generator = torch.Generator(device).manual_seed(0)
    calls = []

    def step(given, progress):
        calls.append(1)
        noise = torch.rand((), generator=generator, device=device)
        return {"sum": given.labelled_image.sum(), "share": progress * 1.0, "noise": noise}

    captured = CapturedStep(step, device, generator)
    found = [captured(batch(i, device="cuda"), i / 10) for i in range(WARM_UP + 4)]
    assert captured.replays
    assert len(calls) == WARM_UP + 1  # the last of them was the recording
    assert [round(float(f["sum"])) for f in found] == [128 * i for i in range(WARM_UP + 4)]
    assert [round(10 * float(f["share"])) for f in found] == list(range(WARM_UP + 4))
    assert len({float(f["noise"]) for f in found}) == WARM_UP + 4
    # Batches of other shapes are other recordings.
    assert float(captured(batch(1.0, 4, "cuda"), 0.5)["sum"]) == 32


class AnyGenerator(torch.Generator):
    """One of the processor, whatever device is asked for."""

    def __new__(cls, device: torch.device | None = None) -> AnyGenerator:  # noqa: D102
        return super().__new__(cls)


@pytest.mark.parametrize("name", ["combined", "mean_teacher"])
def test_what_is_recorded_needs_no_values(name, monkeypatch):
    # Tensors without values stand in for a device: from the batch to the averaged weights nothing
    # may wait for it. They know neither of these two.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "Generator", AnyGenerator)
    device, control = torch.device("meta"), Control()
    plan = Plan(
        device=device,
        bfloat16=False,
        framework=name,
        tiles=Tiles((16, 16), ((0, 0),)),
        labelled=2,
        unlabelled=2,
        learning_rate=1e-3,
        use_prior=False,
    )
    framework = create(name, 1, 3, channels=(4, 8, 8, 16)).to(device)
    trainer = Trainer(framework, plan, Clock(math.inf, control), control, lambda event: None, 0)
    losses = trainer._update(batch(side=16, device="meta"), torch.tensor(0.5, device=device))
    assert losses["total"].device == device
