"""A volume whose slices are time points says so."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app.axis_words import axis_word, slice_word

pytestmark = pytest.mark.usefixtures("without_window")


def test_time_points_are_called_so_in_the_panel(make_panel, until):
    viewer, panel = make_panel()
    layer = viewer.add_image(np.zeros((5, 8, 9), np.uint8), axis_labels=("t", "y", "x"))
    panel.volume.open()
    assert panel.volume.axis.itemText(0) == "Time: 5 time points"
    assert panel.volume.axis.itemText(1).startswith("Axis y: 8 slices of")
    assert [axis_word(layer, axis) for axis in range(3)] == ["Time", "Axis y", "Axis x"]
    plain = viewer.add_image(np.zeros((5, 8, 9), np.uint8))
    assert [axis_word(plain, axis) for axis in range(3)] == ["Axis 0", "Axis 1", "Axis 2"]
    assert [slice_word(layer, axis) for axis in range(3)] == ["Time point", "Slice", "Slice"]
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    panel.session.go_to(2)
    panel.references.refresh()
    assert panel.top.strip.facts.describe(2) == "Time point 2"
    assert panel.references.hint.text().startswith("Time point 2:")
    panel.session.set_axis(1)
    panel.top.refresh()
    assert panel.top.strip.facts.describe(2) == "Slice 2"
