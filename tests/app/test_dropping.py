"""Files dropped on the window are opened with their geometry, without a question before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_sslseg.app.label_offer import LabelOffer

from ..formats.dicom_files import write_series


@pytest.fixture
def shown(make_panel, until):
    viewer, panel = make_panel()
    viewer.window.show()
    until(panel.isVisible)
    return viewer, panel


def drop(where: QWidget, *paths: Path, keys=Qt.KeyboardModifier.NoModifier) -> bool:
    """Drag files over a widget and drop them; returns whether they were taken."""
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    button, copy = Qt.MouseButton.LeftButton, Qt.DropAction.CopyAction
    # Qt drops on what has let the files in.
    QApplication.sendEvent(where, QDragEnterEvent(QPoint(5, 5), copy, files, button, keys))
    event = QDropEvent(QPointF(5, 5), copy, files, button, keys)
    QApplication.sendEvent(where, event)
    return event.isAccepted()


def image_of(viewer) -> QWidget:
    return viewer.window._qt_window._qt_viewer


def test_an_image_dropped_becomes_the_one_to_start_with(shown, until, tmp_path):
    viewer, panel = shown
    write_series(tmp_path / "ct", np.ones((3, 6, 7), np.int16), description="thorax")
    assert drop(image_of(viewer), tmp_path / "ct")
    assert len(viewer.layers) == 0  # not before the drop is over
    until(lambda: "thorax" in viewer.layers)
    until(panel.volume.start.isEnabled)
    assert panel.volume.image.currentText() == "thorax"


def test_a_drop_on_the_panel_counts(shown, until, tmp_path):
    viewer, panel = shown
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.ones((5, 6, 7), np.uint8))
    assert drop(panel, tmp_path / "a.tif", tmp_path / "b.tif")
    until(lambda: {layer.name for layer in viewer.layers} == {"a", "b"})


@pytest.mark.parametrize("why", ["held", "unknown", "told"])
def test_napari_has_its_say(shown, tmp_path, monkeypatch, why):
    viewer, _ = shown
    asked = []
    monkeypatch.setattr(type(image_of(viewer)), "dropEvent", lambda *given: asked.append(True))
    path = tmp_path / ("a.npy" if why == "unknown" else "a.nii")
    path.write_bytes(b"")
    keys = Qt.KeyboardModifier.AltModifier if why == "held" else Qt.KeyboardModifier.NoModifier
    if why == "told":
        monkeypatch.setitem(get_settings().plugins.extension2reader, "*.nii", "napari")
    drop(image_of(viewer), path, keys=keys)
    assert asked


def test_labels_dropped_on_a_volume_that_is_labelled_are_asked_about(started, until, tmp_path):
    viewer, panel = started
    viewer.window.show()
    until(panel.isVisible)
    tifffile.imwrite(tmp_path / "mask.tif", panel.truth)
    assert drop(image_of(viewer), tmp_path / "mask.tif")
    until(lambda: bool(panel.window().findChildren(LabelOffer)))
    panel.window().findChildren(LabelOffer)[0].shown.click()
    until(lambda: "mask" in viewer.layers)
