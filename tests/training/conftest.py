"""A small volume with references, as training sees it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training.control import Watch
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.trainer import Trainer
from napari_sslseg.training.tune import Compute
from napari_sslseg.volume.annotation import blank_ink
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

SHAPE = (14, 36, 40)


def make_truth() -> np.ndarray:
    """Two nested discs that wander and grow along the first axis."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    distance = np.hypot(y - 18, x - 14 - 0.5 * z)
    return ((distance < 10 + 0.2 * z).astype(np.uint8) * 3 + (distance < 5) * 2).astype(np.uint8)


def make_image(truth: np.ndarray) -> np.ndarray:
    """Structures of unlike brightness, in noise."""
    noise = np.random.default_rng(0).normal(0, 8, SHAPE)
    return (100 + 30.0 * truth + noise).astype(np.float32)


def make_ink(truth: np.ndarray) -> np.ndarray:
    """Four reference slices."""
    ink = blank_ink(SHAPE)
    for index in (1, 5, 9, 12):
        ink[index] = truth[index]
    return ink


#: Seconds that one step of training takes by the watch of tests.
STEP = 0.4


class StepTime(Watch):
    """Lets time pass by steps of training alone, so that a run takes as many on every machine.

    A run trains for a second at least, whatever it is given: three steps, one of them in its test.
    """

    steps = 0

    def now(self) -> float:
        """Return it."""
        return STEP * StepTime.steps


@pytest.fixture(autouse=True)
def _steps_are_counted(monkeypatch):
    """Let `StepTime` know of each step."""
    step = Trainer.one_step

    def counted(*given, **named):
        StepTime.steps += 1
        return step(*given, **named)

    monkeypatch.setattr(Trainer, "one_step", counted)


@pytest.fixture
def any_steps_do(monkeypatch):
    """Let networks be gone on from however few steps they have learned for."""
    monkeypatch.setattr("napari_sslseg.training.outcome.FEWEST_STEPS", 1)


@pytest.fixture(autouse=True)
def untuned(monkeypatch):
    """Do not measure how to compute, which takes a second of each run, and differs by machine."""
    monkeypatch.setattr("napari_sslseg.training.plan.tune", lambda device: Compute(1, False))


def lighten(patch: pytest.MonkeyPatch) -> None:
    """Train narrower networks on fewer frames a step: what is looked at is what becomes of them."""
    patch.setattr("napari_sslseg.training.plan.NARROW", (8, 16, 32, 64))
    patch.setattr("napari_sslseg.training.plan.STEP_PIXELS", 5_000)


@pytest.fixture(autouse=True)
def light_steps(monkeypatch):
    """Spare runs on volumes most of the arithmetic."""
    lighten(monkeypatch)


@pytest.fixture
def truth():
    return make_truth()


@pytest.fixture
def image(truth):
    return make_image(truth)


@pytest.fixture
def ink(truth):
    return make_ink(truth)


@pytest.fixture
def stack(image, ink):
    return SliceStack.from_volume(image, ink, 0, (2.0, 1.0, 1.0))


@pytest.fixture
def project(tmp_path, image, ink):
    info = ImageInfo("discs", SHAPE, (2.0, 1.0, 1.0))
    made = Project.create(tmp_path / "p", image, info, ClassTable.from_ids([3, 5]), 0)
    made.ink_store.save(ink)
    return made
