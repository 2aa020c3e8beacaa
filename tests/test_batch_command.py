"""``napari-sslseg batch``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_sslseg.cli import app
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project, ProjectError

SHAPE = (8, 24, 24)


@pytest.fixture
def cohort(tmp_path):
    """Make a project of two volumes, both labelled."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    truth = ((y - 12) ** 2 + (x - 9 - z / 2) ** 2 < 25).astype(np.uint8)
    made = []
    for number in range(2):
        image = truth + np.random.default_rng(number).normal(0, 0.1, SHAPE)
        info = ImageInfo(f"disc {number}", SHAPE, (1.0, 1.0, 1.0))
        if not made:
            made.append(Project.create(tmp_path / "p", image, info, ClassTable.from_ids([1]), 0))
        else:
            made.append(Cohort(tmp_path / "p").add(image, info, 0))
        ink = made[-1].ink_store.load()
        ink[[1, 4, 7]] = truth[[1, 4, 7]]
        made[-1].ink_store.save(ink)
    return Cohort(tmp_path / "p")


def run(*arguments):
    result = CliRunner().invoke(app, ["batch", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return [json.loads(line) for line in result.stdout.strip().splitlines() if line]


def test_all_volumes_get_proposals_or_those_that_are_named(cohort):
    rows = run(cohort.path, "--method", "reference")
    assert [row["name"] for row in rows] == ["disc 0", "disc 1"]
    assert all(row["proposals"] == ["reference-guided"] for row in rows)
    (row,) = run(cohort.path, "--method", "reference", "--volume", "first")
    assert row["volume"] == "first"
    assert [cohort.open(key).proposal_version("reference-guided") for key in cohort.keys] == [2, 1]


def test_volumes_learn_from_each_other_unless_told_not_to(cohort, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "napari_sslseg.training.batch.run_batch",
        lambda path, request, follow, control: asked.append(request.train.others),
    )
    run(cohort.path)
    run(cohort.path, "--alone")
    assert asked == [True, False]


def test_what_is_no_project_or_no_volume_of_it_gets_one_sentence(cohort, tmp_path):
    with pytest.raises(ProjectError, match="is not a napari-sslseg project"):
        run(tmp_path)
    with pytest.raises(ProjectError, match=r"it has: first, 001-disc-1\."):
        run(cohort.path, "--volume", "other")
