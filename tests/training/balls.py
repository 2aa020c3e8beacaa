"""A project of several volumes, each with one bright ball of two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project

DEPTH, SIDE = 14, 48


def ball(z: float, y: float, x: float, depth: int = DEPTH, side: int = SIDE, fine: int = 1):
    """Return a bright ball (labels 5, its upper half 9) in noise, and its labels."""
    grid = np.meshgrid(
        np.arange(depth), *(np.arange(side * fine) / fine for _ in range(2)), indexing="ij"
    )
    inside = ((grid[0] - z) * 2) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2 < 81
    truth = np.where(inside, np.where(grid[1] < y, 9, 5), 0).astype(np.uint8)
    noise = np.random.default_rng(int(z + y + x)).normal(0, 5, truth.shape)
    return (50 * (truth > 0) + 20 * (truth == 9) + noise).astype(np.float32), truth


def label(project: Project, truth: np.ndarray, slices) -> None:
    ink = project.ink_store.load()
    for z in slices:
        ink[z] = truth[z]
    project.ink_store.save(ink)


def add(cohort: Cohort, name: str, made, slices, spacing=(2.0, 1.0, 1.0)) -> Project:
    image, truth = made
    project = cohort.add(image, ImageInfo(name, image.shape, spacing), 0)
    label(project, truth, slices)
    return project


def make_cohort(folder: Path, slices=(3, 6, 9)) -> Cohort:
    """Make a project whose first volume has some references, of a ball from slice 2 to 10."""
    image, truth = ball(6, 20, 22)
    info = ImageInfo("own", image.shape, (2.0, 1.0, 1.0))
    first = Project.create(folder, image, info, ClassTable.from_ids([5, 9]), 0)
    label(first, truth, slices)
    return Cohort(first.path)
