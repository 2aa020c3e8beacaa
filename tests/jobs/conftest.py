"""A small project to train on, and another computer, played by a script in place of ssh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

SHAPE = (10, 32, 32)


def make_project(folder: Path) -> Project:
    """Make a project of a leaning cylinder with three references."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    truth = ((y - 16) ** 2 + (x - 12 - z / 2) ** 2 < 49).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 0.1, SHAPE)
    info = ImageInfo("disc", SHAPE, (1.0, 1.0, 1.0))
    made = Project.create(folder, truth + noise, info, ClassTable.from_ids([1]), 0)
    ink = made.ink_store.load()
    for index in (1, 5, 8):
        ink[index] = truth[index]
    made.ink_store.save(ink)
    return made


@pytest.fixture
def project(tmp_path):
    """Give such a project of a test's own."""
    return make_project(tmp_path / "p")
