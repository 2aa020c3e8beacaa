"""The whole loop on the sample volume: real viewer, real trainer process, real files."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import SimpleITK as sitk
from qtpy.QtCore import Qt

from napari_sslseg.app.image_source import projects_folder
from napari_sslseg.app.panel import LoopPanel
from napari_sslseg.app.readers import labels_layer
from napari_sslseg.formats import read_labels
from napari_sslseg.sample import IMAGE, load
from napari_sslseg.volume.annotation import NOT_ANNOTATED

SECONDS = 5.0
MORE_SECONDS = 2.0  # to go on from what was learned


@pytest.fixture
def sample(make_napari_viewer, home, until, warm_trainer):
    """Open the sample with its references, started with the panel's button."""
    viewer = make_napari_viewer()
    viewer.open_sample("napari-sslseg", "brain_with_references")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sslseg", "Segment a volume")
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    panel.train.budget.choices = [("short", SECONDS), ("shorter", MORE_SECONDS)]
    panel.train.budget.value = SECONDS
    yield viewer, panel
    if panel.session is not None:
        panel.session.close()


@pytest.fixture(scope="module")
def truth():
    return np.asarray(labels_layer(load()[1])[0])


def idle(panel: LoopPanel) -> bool:
    return panel.session is not None and not panel.session.training.busy


def test_the_loop_from_references_to_export(sample, truth, until, paint, tmp_path):
    viewer, panel = sample
    session = panel.session
    references = session.references
    assert references.references() == [9, 28, 46]
    assert [c.name for c in session.classes] == ["Grey matter", "White matter"]
    ink = references.ink.copy()

    panel.train.train.click()
    assert session.training.busy
    assert "running" in panel.train.train.toolTip()
    until(lambda: "reference-guided" in session.proposals, 60)
    until(lambda: idle(panel), 240)
    until(lambda: "semsim" in session.proposals)
    assert panel.train.chart.losses
    assert np.array_equal(references.ink, ink), "training changed the user's ink"
    for name in ("Reference-guided", "SemSim"):
        data = viewer.layers[name].data
        assert set(np.unique(data)) <= {0, 1, 2}
        inked = ink != NOT_ANNOTATED
        assert np.array_equal(data[inked], ink[inked])
        wrong = (data[10:46] != truth[10:46])[truth[10:46] > 0].mean()
        assert wrong < 0.25, f"{name} is wrong on {wrong:.0%} of the tissue"
    until(lambda: panel.review.legend.shares[1].text() != "–")

    panel.review.next.click()
    index = references.current_slice()
    assert index not in (9, 28, 46)
    layer = session.proposals[session.active].layer
    for value in (0, 1, 2):
        paint(layer, index, (truth[index] == value) & (layer.data[index] != value), value)
    panel.review.accept.click()
    assert np.array_equal(references.ink[index], truth[index])
    ink = references.ink.copy()

    panel.train.budget.value = MORE_SECONDS
    panel.review.retrain.click()
    assert session.training.busy
    until(lambda: idle(panel), 240)
    session.retraining.show_new("semsim")  # in case its estimate fell behind
    until(lambda: session.proposals["semsim"].version > 1)
    assert np.array_equal(references.ink, ink)
    assert np.array_equal(layer.data[index], truth[index])

    target = tmp_path / "out.nii.gz"
    panel.export.export_to(target)
    until(lambda: "Exported" in panel.export.hint.text())
    source, written = sitk.ReadImage(str(IMAGE)), sitk.ReadImage(str(target))
    for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(source, geometry)() == getattr(written, geometry)()
    shown = np.asarray(labels_layer(read_labels(target))[0])
    assert np.array_equal(shown[index], truth[index])
    assert np.array_equal(shown, session.final_labels())


def test_cancel_and_a_killed_trainer_leave_a_usable_application(sample, until):
    _, panel = sample
    session = panel.session
    ink = session.references.ink.copy()
    panel.train.train.click()
    until(lambda: "reference-guided" in session.proposals, 60)
    panel.train.cancel.click()
    until(lambda: idle(panel), 3)
    assert "kept" in panel.train.hint.text()

    panel.train.train.click()
    until(lambda: panel.train.pause.isEnabled(), 60)
    psutil.Process(session.training.pid).kill()
    until(lambda: idle(panel), 10)
    assert "Your work is safe" in panel.train.hint.text()
    assert panel.train.train.isEnabled()
    assert np.array_equal(session.references.ink, ink)


def test_work_is_recovered_after_the_viewer_was_closed_without_saving(
    sample, make_napari_viewer, until, paint
):
    viewer, panel = sample
    session = panel.session
    paint(session.references.layer, 3, np.eye(96, 144, dtype=bool), 2)
    session.edit_class(1, name="Cortex")
    ink = session.references.ink.copy()
    pid = session.training.pid
    until(lambda: not session.autosave.pending, 10)
    session.training.close()  # the application dies: nothing is closed properly
    path = session.project.path
    panel.session = None
    panel.lock.release()  # as the system does then

    other = make_napari_viewer()
    again = LoopPanel(other)
    other.window.add_dock_widget(again)
    assert again.volume.recent.box.currentData() == path
    again.volume.recent.button.click()
    until(lambda: again.session is not None)
    assert np.array_equal(again.session.references.ink, ink)
    assert again.session.classes.name(1) == "Cortex"
    assert tuple(other.layers["Brain T1"].scale) == tuple(viewer.layers["Brain T1"].scale)
    assert not psutil.pid_exists(pid)
    again.session.close()
    session.close()


def test_closing_the_window_saves_and_leaves_no_process(sample, until, paint):
    viewer, panel = sample
    session = panel.session
    until(lambda: session.training.pid is not None)
    pid = session.training.pid
    paint(session.references.layer, 5, np.eye(96, 144, dtype=bool), 1)
    ink = session.references.ink.copy()
    window = viewer.window._qt_window
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # it is closed once more later
    window.close()
    until(lambda: not psutil.pid_exists(pid), 10)
    from napari_sslseg.volume.project import Project

    assert np.array_equal(Project.open(session.project.path).ink_store.load(), ink)
    assert session.project.path.parent == projects_folder()
