"""An image that has a project: that is said where another one would be made."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
import tifffile

from napari_sslseg.app.image_source import projects_folder
from napari_sslseg.app.known_projects import ago, projects_of
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project

from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")

SOME = np.zeros((40, 44), bool)
SOME[3:8, 3:8] = True


@pytest.fixture
def left(make_panel, tmp_path, until, paint, all_read):
    """Give a panel whose project, of a file and with two slices painted, has just been closed."""
    path = tmp_path / "cone.tif"
    tifffile.imwrite(path, make_volume()[0])
    viewer, panel = make_panel()
    panel.volume.open_image.open(path)
    until(lambda: len(viewer.layers) == 1)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    for index in (2, 5):
        paint(panel.session.references.layer, index, SOME, 1)
    project = panel.session.project.path
    panel.volume.leave.click()
    until(lambda: panel.session is None)
    all_read()
    return viewer, panel, path, project


def told(panel) -> str:
    return "" if panel.volume.known.isHidden() else panel.volume.known.text.text()


def test_a_project_that_was_closed_is_offered_where_a_second_one_would_be_made(left, until):
    _, panel, _, project = left
    assert "This image has a project: 2 slices labelled" in told(panel)
    assert panel.volume.start.text() == "Start a new one"
    assert panel.volume.recent.box.currentData() == project
    assert panel.volume.recent.box.count() == 1
    assert panel.volume.recent.isHidden()  # one button continues it
    panel.volume.known.button.click()
    until(lambda: panel.session is not None)
    assert panel.session.project.path == project
    assert (panel.session.references.ink[5][SOME] == 1).all()
    assert told(panel) == ""


def test_a_new_one_can_be_started_all_the_same_and_the_one_with_labels_is_offered(
    left, until, all_read
):
    _, panel, _, project = left
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    assert panel.session.project.path != project
    panel.volume.leave.click()
    until(lambda: panel.session is None)
    all_read()
    assert "2 projects" in told(panel)
    assert "2 slices labelled" in told(panel)
    assert panel.volume.recent.box.currentData() == project
    assert panel.volume.recent.box.count() == 2
    assert not panel.volume.recent.isHidden()


def test_an_image_is_known_by_its_voxels_whatever_its_name_and_file(left, tmp_path, all_read):
    viewer, panel, path, project = left
    moved = shutil.copy(path, tmp_path / "elsewhere.tif")
    layer = viewer.add_image(tifffile.imread(moved), name="renamed")
    changed = tifffile.imread(path)
    changed[7, 20, 20] += 1  # not in any of the slices that are looked at first
    another = viewer.add_image(changed, name="cone")
    box = panel.volume.image
    box.setCurrentIndex(box.findData(layer))
    all_read()
    assert panel.volume.known.button.toolTip().startswith(f"Open {project} ")
    box.setCurrentIndex(box.findData(another))
    assert told(panel) == ""  # at once: nothing is offered for the image before
    all_read()
    assert told(panel) == ""
    assert panel.volume.start.text() == "Start labelling"


def test_channels_colours_and_further_volumes_are_known(home):
    random = np.random.default_rng(0)
    stains, colours, further = (random.integers(0, 99, (4, 6, 7, 3), np.uint8) for _ in range(3))
    info = {"shape": (4, 6, 7), "spacing": (1.0,) * 3, "channels": 3}
    classes = ClassTable()
    first = projects_folder() / "stains"
    Project.create(first, stains, ImageInfo("stains", **info), classes, 0)
    Project.create(
        projects_folder() / "rgb", colours, ImageInfo("rgb", **info, rgb=True), classes, 0
    )
    added = Cohort(first).add(further, ImageInfo("other", **info), 0)

    def paths(image, rgb=False):
        return [known.path for known in projects_of(image, rgb, "", projects_folder())]

    assert paths(stains[..., 1]) == [first]
    assert paths(further[..., 2]) == [added.path]
    assert paths(colours, rgb=True) == [projects_folder() / "rgb"]
    assert paths(colours[..., 0]) == []
    (first / "image.npy").unlink()
    assert paths(stains[..., 1]) == []


def test_how_long_ago_something_was_is_said_by_the_calendar():
    noon = time.mktime((2024, 3, 1, 12, 0, 0, 0, 0, -1))
    hour = 3600
    assert ago(noon - 20, noon) == "just now"
    assert ago(noon - 0.5 * hour, noon) == "30 min ago"
    assert ago(noon - 11 * hour, noon) == "11 h ago"
    assert ago(noon - 13 * hour, noon) == "yesterday"
    assert ago(noon - 35 * hour, noon) == "yesterday"
    assert ago(noon - 37 * hour, noon).startswith("28 ")
