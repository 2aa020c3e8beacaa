"""One image layer for each volume, and no other patient's image behind it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer

from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def close_and_open(panel, until) -> None:
    path = panel.session.project.path
    panel.close_session()
    panel.open(path)
    until(lambda: panel.session is not None)


@pytest.fixture
def file(tmp_path):
    """Give a file with the small volume."""
    image, _ = make_volume()
    path = tmp_path / "heart.nii.gz"
    nib.save(nib.Nifti1Image(image.transpose(2, 1, 0).copy(), np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def open_file(viewer, path) -> None:
    viewer.open(path, plugin="napari-sslseg")


def test_a_project_that_is_opened_again_goes_on_in_its_image(started, until):
    viewer, panel = started
    image = viewer.layers["cone"]
    image.contrast_limits = (10, 90)
    close_and_open(panel, until)
    assert names(viewer) == ["cone", "References"]
    assert panel.session.image is image
    assert tuple(image.contrast_limits) == (10, 90)
    image.visible = False
    close_and_open(panel, until)
    assert image.visible


def test_channels_are_gone_on_in_as_well(make_panel, until):
    viewer, panel = make_panel()
    volume = np.random.default_rng(0).integers(0, 200, (6, 20, 22, 2), dtype=np.uint8)
    viewer.add_image(volume, channel_axis=3, name=["t1", "t2"])
    from napari_sslseg.app.channels import join

    join(viewer.layers, viewer.layers["t1"], viewer.layers["t2"])
    panel.start(viewer.layers["t1"], 0)
    until(lambda: panel.session is not None)
    close_and_open(panel, until)
    assert names(viewer) == ["t1", "t2", "References"]


def test_the_file_of_a_project_is_gone_on_in_unless_it_changed(
    with_window, make_panel, file, until
):
    viewer, panel = make_panel()
    open_file(viewer, file)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    path = panel.session.project.path
    panel.close_session()
    viewer.layers.clear()
    open_file(viewer, file)
    opened = viewer.layers["heart"]
    panel.open(path)
    until(lambda: panel.session is not None)
    assert panel.session.image is opened
    assert names(viewer) == ["heart", "References"]
    panel.close_session()
    viewer.layers.clear()
    stored = nib.load(file)
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj) // 2, stored.affine), file)
    open_file(viewer, file)
    changed = viewer.layers["heart"]
    panel.open(path)
    until(lambda: panel.session is not None)
    assert panel.session.image is not changed
    assert not changed.visible, "it is the user's, and lies where the project's image lies"
    assert panel.session.image.data.max() == make_volume()[0].max()


def test_another_volume_takes_the_place_of_the_image_even_after_reopening(started, file, until):
    viewer, panel = started
    panel.cohort.add([file])
    until(lambda: len(panel.cohort.summaries()) == 2)
    close_and_open(panel, until)
    viewer.layers.selection.active = viewer.layers["cone"]
    _duplicate_layer(viewer.layers)
    viewer.add_image(np.zeros((12, 40, 44)), name="mine")
    before = panel.session
    panel.switching.to(panel.cohort.cohort.folder(panel.cohort.cohort.keys[1]))
    until(lambda: panel.session is not None and panel.session is not before)
    assert sorted(names(viewer)) == ["References", "cone copy", "heart", "mine"]
    seen = [layer.name for layer in viewer.layers if layer.visible]
    assert sorted(seen) == ["References", "heart"]


def test_a_project_that_is_begun_leaves_no_image_of_the_one_before(
    with_window, started, file, until
):
    viewer, panel = started
    panel.close_session()
    open_file(viewer, file)
    viewer.add_image(np.zeros((12, 40, 44)), name="mine")
    panel.start(viewer.layers["heart"], 0)
    until(lambda: panel.session is not None)
    assert names(viewer) == ["heart", "mine", "References"]
    assert viewer.layers["mine"].visible, "it may belong to this volume"


def test_layers_that_go_together_are_cleared_up_after_once(with_proposal, monkeypatch, until):
    viewer, panel = with_proposal
    begun = []
    viewer.layers.events.begin_batch.connect(lambda: begun.append(1))
    panel.close_session()
    assert names(viewer) == ["cone"]
    assert begun == [1]
