"""Going to a slice of another volume: inside of its object, and only where it can be shown."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.app import switching
from napari_sslseg.app.next_volume import best_slice_elsewhere
from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import VolumeFailed
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def two(started, tmp_path, until):
    """Give a session beside a second volume, head end last, that is in doubt in slices 2 and 8."""
    _, panel = started
    noise = np.random.default_rng(1).integers(0, 99, SHAPE[::-1]).astype(np.int16)
    nib.save(nib.Nifti1Image(noise, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / "two.nii.gz")
    panel.cohort.add([tmp_path / "two.nii.gz"])
    until(lambda: len(panel.cohort.summaries()) == 2 and not panel.cohort._adding.running)
    key = panel.cohort.cohort.keys[1]
    regions = np.ones(SHAPE, np.uint8)
    regions[2], regions[8, :20] = 4, 4
    blank = np.zeros(SHAPE, np.uint8)
    proposal = Proposal("SemSim", panel.truth, regions, blank)
    panel.cohort.cohort.open(key).write_proposal(proposal)
    panel.cohort.look(key)
    until(lambda: panel.cohort.why_no_next() == "")
    return panel, key


def test_a_slice_of_another_volume_lies_in_its_object_and_its_end_is_named(two):
    panel, key = two
    cohort = panel.cohort.cohort
    project = cohort.open(key)
    assert best_slice_elsewhere(cohort, "").index < 5
    project.extent = Extent(5, 9)
    project.save()
    found = best_slice_elsewhere(cohort, "")
    assert 5 <= found.index <= 9
    ink = np.full(SHAPE, NOT_ANNOTATED, np.uint8)
    ink[5:9] = panel.truth[5:9]
    project.ink_store.save(ink)
    found = best_slice_elsewhere(cohort, "")
    assert found.index == 9
    assert "near the superior end of the object" in found.reason
    ink[9] = 0
    project.ink_store.save(ink)
    assert best_slice_elsewhere(cohort, "") is None
    # A volume that cannot be shown is not gone to, though it has a slice to mend.
    ink[5:10] = NOT_ANNOTATED
    project.ink_store.save(ink)
    assert best_slice_elsewhere(cohort, "") is not None
    (project.path / "image.npy").unlink()
    assert best_slice_elsewhere(cohort, "") is None


def test_what_fails_in_a_batch_is_told_by_the_name_in_the_list(two, tmp_path, until):
    panel, key = two
    view = panel.cohort
    project = view.cohort.open(key)
    project.info.name = "cone"  # as the first one is called, too
    project.save()
    view.look(key)
    until(lambda: view.summaries()[1].name.endswith("/cone"))
    heard = []
    view.trouble.connect(heard.append)
    view._on_event(VolumeFailed(key, "cone", "No room."))
    assert heard == [f"{tmp_path.name}/cone: No room."]


def test_next_volume_says_that_training_runs_and_nothing_is_gone_to_later(two, until):
    panel, _ = two
    cohort, hint = panel.cohort, panel.volumes.hint
    training = panel.session.training
    training._set(RunState.RUNNING)
    panel.volumes.refresh()
    assert panel.volumes.next.toolTip().startswith("Not now: training is running")
    cohort.go_to_next_volume()
    assert hint.text().startswith("Not now: training is running")
    # It may also begin after the slice was found.
    cohort._wanted = (cohort.cohort.keys[1], 2)
    cohort.switch_wanted.emit(cohort.cohort.folder(cohort.cohort.keys[1]))
    assert cohort._wanted is None
    assert hint.text().startswith("Training is running")
    training._set(RunState.IDLE)


def test_after_a_volume_that_cannot_be_shown_a_click_on_it_goes_to_no_slice(
    two, until, monkeypatch
):
    panel, key = two
    cohort = panel.cohort
    warned = []
    monkeypatch.setattr(switching, "show_warning", warned.append)
    folder = cohort.cohort.folder(key)
    image = (folder / "image.npy").read_bytes()

    def damage(advice: str) -> None:
        cohort.advice.disconnect(damage)
        (folder / "image.npy").write_bytes(b"")

    cohort.advice.connect(damage)  # when the slice has been found
    cohort.go_to_next_volume()
    until(lambda: bool(warned) and panel.session is not None)
    assert cohort._wanted is None
    assert "slice" not in panel.volumes.hint.text()
    until(lambda: cohort.why_no_next() != "")  # it is looked at again
    (folder / "image.npy").write_bytes(image)
    cohort.look(key)
    until(lambda: cohort.why_no_next() == "")
    cohort.go_to_next_volume()
    until(lambda: panel.session is not None and panel.cohort.current == key)
    assert f"slice {panel.session.references.current_slice()}: " in panel.volumes.hint.text()


@pytest.mark.parametrize("active", ["References", "cone"])
def test_a_tool_that_moves_the_view_paints_nothing_in_the_next_volume(two, until, active):
    panel, key = two
    viewer, session = panel.viewer, panel.session
    session.references.layer.mode = "pan_zoom"
    viewer.layers.selection.active = viewer.layers[active]
    panel.switching.to(panel.cohort.cohort.folder(key))
    until(lambda: panel.cohort.current == key and panel.session is not None)
    layer = panel.session.references.layer
    assert viewer.layers.selection.active is layer
    assert str(layer.mode) == "pan_zoom"
