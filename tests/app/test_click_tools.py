"""Tools in the image, used with the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_sslseg.volume.annotation import NOT_ANNOTATED

from .conftest import SHAPE, make_volume, put_proposal


@pytest.fixture
def shown(make_panel, until, qtbot):
    """Give a window on screen, zoomed on slice 4 of a proposal that is too small there."""
    viewer, panel = make_panel(show=True)
    viewer.window.resize(1000, 700)
    image, truth = make_volume()
    viewer.add_image(image, name="cone", scale=(2, 1, 1), units=("mm",) * 3)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    panel.truth = truth
    small = truth.copy()
    small[:, :, 20:] = 0
    put_proposal(panel.session, small, until)
    panel.session.go_to(4)
    qtbot.wait(100)
    viewer.reset_view()
    qtbot.wait(100)
    return viewer, panel


class Mouse:
    """A mouse over the canvas, in pixels of the slice."""

    def __init__(self, viewer, qtbot) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def at(self, row: float, column: float) -> QPoint:
        """Return where a pixel is in the canvas."""
        camera = self.viewer.scene.camera
        offset = (np.array([row, column]) - np.array(camera.center[-2:])) * camera.zoom
        y, x = offset + np.array(self.viewer.canvas.size) / 2
        return QPoint(round(x), round(y))

    def click(self, row: float, column: float) -> None:
        """Press and release."""
        self.qtbot.mouseMove(self.canvas, self.at(row, column))
        self.qtbot.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=self.at(row, column))
        self.qtbot.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=self.at(row, column))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move, release."""
        left = Qt.MouseButton.LeftButton
        self.qtbot.mousePress(self.canvas, left, pos=self.at(*start))
        for share in (0.5, 1.0):
            point = tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))
            self.qtbot.mouseMove(self.canvas, self.at(*point))
            self.qtbot.wait(30)
        self.qtbot.mouseRelease(self.canvas, left, pos=self.at(*end))


def test_a_click_flips_the_disputed_part(shown, qtbot, until):
    viewer, panel = shown
    session = panel.session
    layer = session.proposals["semsim"].layer
    before = layer.data.copy()
    panel.review.correct.tools["flip"].click()
    assert layer.mode == "pan_zoom"
    Mouse(viewer, qtbot).click(20, 16)
    until(lambda: not session.mender.busy and not np.array_equal(layer.data, before))
    assert not layer.data[4].any()
    assert np.array_equal(np.delete(layer.data, 4, 0), np.delete(before, 4, 0))
    panel.top.undo.click()
    assert np.array_equal(layer.data, before)


def test_moving_the_image_with_a_click_tool_changes_nothing(shown, qtbot):
    viewer, panel = shown
    layer = panel.session.proposals["semsim"].layer
    before, centre = layer.data.copy(), viewer.scene.camera.center
    panel.review.correct.tools["flip"].click()
    Mouse(viewer, qtbot).drag((20, 16), (26, 22))
    qtbot.wait(200)
    assert np.array_equal(layer.data, before)
    assert viewer.scene.camera.center != centre


def test_the_brush_grows_a_class_to_the_edge_in_one_step(shown, qtbot, until):
    viewer, panel = shown
    session = panel.session
    layer = session.proposals["semsim"].layer
    before, centre = layer.data.copy(), viewer.scene.camera.center
    layer.brush_size = 9
    panel.review.correct.tools["grow"].click()
    Mouse(viewer, qtbot).drag((19, 22), (22, 22))
    assert viewer.scene.camera.center == centre, "a brush must not move the image"
    after = layer.data.copy()
    gained = after[4] != before[4]
    assert gained.sum() > 20
    assert (after[4][gained] == 1).all()
    assert panel.truth[4][gained].mean() > 0.9, "it stops at the edge"
    assert np.array_equal(np.delete(after, 4, 0), np.delete(before, 4, 0))
    assert "growing" in session.history.next_undo
    layer.undo()
    assert np.array_equal(layer.data, before)
    layer.redo()
    panel.review.correct.tools["shrink"].click()
    Mouse(viewer, qtbot).drag((20, 16), (21, 16))
    lost = layer.data[4] != after[4]
    assert lost.any()
    assert not layer.data[4][lost].any()
    layer.undo()
    assert np.array_equal(layer.data, after)
    assert (session.references.ink == NOT_ANNOTATED).all()
    assert before.shape == SHAPE


def test_taking_up_one_of_naparis_tools_lays_ours_down(shown):
    _, panel = shown
    layer = panel.session.proposals["semsim"].layer
    button = panel.review.correct.tools["grow"]
    button.click()
    assert button.isChecked()
    assert not layer.mouse_pan
    layer.mode = "paint"
    assert not button.isChecked()
    assert panel.session.tools.tool == ""
    button.click()
    assert layer.mode == "pan_zoom"
    button.click()
    assert layer.mouse_pan
    assert panel.session.tools.tool == ""
