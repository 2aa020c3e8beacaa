"""Files of labels made for tests, and how the panel is told to import them."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_sslseg.formats import write_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import SHAPE


def save(path, labels, spacing=(2.0, 1.0, 1.0)):
    write_labels(path, labels, Volume(labels, Geometry.from_spacing(spacing, labels.shape)))
    return path


def three_labels(truth):
    """Return labels 1 to 3 side by side on slices 2 and 7."""
    labels = np.zeros(SHAPE, np.uint8)
    for index in (2, 7):
        labels[index, :10, :10], labels[index, 20:26, :10], labels[index, 30:, 20:] = 1, 2, 3
    return labels


def choose(monkeypatch, panel, path, action, until):
    """Press the button's menu entry, choose a file, and wait for what is said."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    widget = panel.volume.label_import
    widget.button.menu().actions()[action].trigger()
    until(lambda: not widget.hint.text().startswith("Importing") or widget.chooser is not None, 30)
    return widget.hint


def answer(chooser, until, widget, **chosen):
    """Choose a class for some labels by the text of the choice, and import."""
    for value, text in chosen.items():
        box = chooser.boxes[int(value[1:])]
        row = box.findText(text)
        assert row >= 0, [box.itemText(i) for i in range(box.count())]
        box.setCurrentIndex(row)
    chooser.import_button.click()
    until(lambda: not widget.hint.text().startswith("Importing"), 30)
