"""Which volume a project opens with."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app.switching import load_volume
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project, ProjectError


def test_a_project_opens_with_another_volume_where_the_one_shown_last_is_damaged(tmp_path):
    home = tmp_path / "home"
    image = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    info = ImageInfo("first", image.shape, (1.0, 1.0, 1.0))
    Project.create(home, image, info, ClassTable.from_ids([1]), 0)
    cohort = Cohort(home)
    second = cohort.add(image + 1, ImageInfo("second", image.shape, (1.0, 1.0, 1.0)), 0)
    cohort.show("001-second")
    found = load_volume(home)
    assert (found.project.info.name, found.trouble) == ("second", "")
    (second.path / "image.npy").unlink()
    found = load_volume(home)
    assert found.project.info.name == "first"
    assert "001-second/image.npy is missing" in found.trouble.replace("\\", "/")
    assert found.trouble.endswith("“first” is shown instead.")
    with pytest.raises(ProjectError, match=r"image\.npy is missing"):
        load_volume(second.path)  # that one was asked for
    (home / "project.json").write_text("{", encoding="utf-8")
    with pytest.raises(ProjectError, match=r"image\.npy is missing"):
        load_volume(home)
