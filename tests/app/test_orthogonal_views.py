"""The two other planes below the slice, in a real window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_sslseg.app import plane_drawing

from .conftest import SHAPE


@pytest.fixture
def opened(started, until):
    viewer, panel = started
    viewer.window.resize(1100, 760)
    viewer.window.show()
    pictures = {}
    panel.planes.drawer.drawn.connect(pictures.__setitem__)
    panel.top.planes.click()
    until(lambda: len(pictures) == 2 and panel.planes.drawer.idle)
    return viewer, panel, pictures


def drawn(panel, until) -> None:
    until(lambda: panel.planes.drawer.idle)


def test_planes_show_what_the_slice_shows_and_follow_every_edit(
    with_proposal, opened, paint, until
):
    viewer, panel, pictures = opened
    session, planes = panel.session, panel.planes
    boxes = panel.review.legend.boxes
    for code in (2, 3, 4):
        boxes[code].setChecked(False)  # so that classes are drawn as areas
    planes.set_point((4, 21, 22))
    drawn(panel, until)
    # Across the first axis in the plane: its rows are slices, its columns the last axis.
    truth, ink = panel.truth[:, 21], session.references.ink[:, 21]
    shown = pictures[0].labels[..., 3] > 0
    assert pictures[0].image.shape == (SHAPE[0], SHAPE[2], 3)
    assert shown[truth == 1].all()
    assert shown[ink != 255].all(), "references are seen too"
    classes = np.array(session.proposals["semsim"].layer.get_color(1))[:3] * 255
    open_class = (truth == 1) & (ink == 255)
    assert np.allclose(pictures[0].labels[open_class][:, :3], classes, atol=2)
    boxes[4].setChecked(True)
    drawn(panel, until)
    doubt = np.array(session.regions.layer.get_color(4))[:3] * 255
    finer = len(pictures[0].labels) // SHAPE[0]  # outlines are drawn on about square pixels
    row = pictures[0].labels[4 * finer : 5 * finer].reshape(-1, 4)[:, :3]
    assert np.isclose(row, doubt, atol=2).all(axis=1).any(), "no class lies over or below it"
    assert np.isclose(row, classes, atol=2).all(axis=1).any(), "but its outline"
    boxes[4].setChecked(False)
    drawn(panel, until)

    empty = np.argwhere((ink == 255) & (truth == 0) & ~shown)[0]
    mask = np.zeros(SHAPE[1:], bool)
    mask[21, empty[1]] = True
    before = pictures[0].labels[tuple(empty)].copy()
    assert before[3] == 0
    paint(session.references.layer, int(empty[0]), mask, 1)
    drawn(panel, until)
    assert pictures[0].labels[tuple(empty)][3] > 0
    session.history.undo()
    drawn(panel, until)
    assert np.array_equal(pictures[0].labels[tuple(empty)], before)

    session.history._followed[0].written.drags += 1  # the mouse is down
    viewer.layers["cone"].visible = False
    assert not panel.planes.drawer.idle
    seen = pictures[0]
    QApplication.processEvents()
    assert pictures[0] is seen, "nothing is drawn while a stroke is"
    session.history._followed[0].written.drags -= 1
    drawn(panel, until)
    assert pictures[0].image.max() == 0, "the image is hidden"
    session.look.toggle_image_only()
    drawn(panel, until)
    assert pictures[0].labels is None


def test_a_click_goes_there_and_the_slider_moves_the_crosshair(opened, qtbot, until):
    viewer, panel, _ = opened
    session, planes = panel.session, panel.planes
    view = planes.views[0]
    planes.set_point((4, 20, 22))
    drawn(panel, until)
    target = view.target()
    assert target.height() / target.width() == pytest.approx(2 * SHAPE[0] / SHAPE[2], rel=1e-6)
    place = view.place_of(9, 30).toPoint()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=place)
    assert session.references.current_slice() == 9
    assert planes.point == (9, 20, 30)
    assert planes.views[1].title.endswith(" 30")
    assert view._cross == (9, 30)
    session.go_to(2)
    assert planes.point == (2, 20, 30)
    assert view._cross == (2, 30)

    wheel = QWheelEvent(
        QPointF(50, 50), QPointF(50, 50), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    view.wheelEvent(wheel)
    assert planes.point == (2, 22, 30)

    # What lies outside of the canvas is brought to its middle, what is in view stays.
    camera = viewer.scene.camera
    centre = camera.center
    planes.go_to((2, 20, 22))
    assert camera.center == centre
    camera.zoom *= 12
    assert view.nearness > 2
    planes.go_to((2, 2, 40))
    assert camera.center[-2:] == pytest.approx((2, 40))
    assert view.target().width() > view.width()
    assert view.pixel_at(view.place_of(3, 17)) == pytest.approx((3, 17))

    session.set_axis(2)
    drawn(panel, until)
    assert [frame.across for frame in planes._frames] == [0, 1]
    assert planes.point[2] == session.references.current_slice()


def test_the_dock_is_opened_and_closed_in_every_way(opened, until):
    viewer, panel, pictures = opened
    planes, button = panel.planes, panel.top.planes
    assert planes.shown
    assert button.isChecked()
    planes._dock().destroyOnClose()  # the cross in its title
    until(lambda: not button.isChecked())
    pictures.clear()
    panel.session.set_axis(1)
    QApplication.processEvents()
    assert not pictures, "nothing is drawn that nobody sees"
    button.click()
    until(lambda: len(pictures) == 2)
    planes._dock().hide()
    until(lambda: not button.isChecked())
    button.click()
    assert planes.shown
    path = panel.session.project.path
    panel.close_session()
    assert not planes.shown
    panel.open(path)
    until(lambda: panel.session is not None)
    assert planes.shown, "as it was left"
    viewer.theme = "light"
    assert planes.views[0].text.lightness() < 128


def test_why_nothing_is_drawn_is_told_once_until_it_is_again(opened, until, monkeypatch):
    _, panel, pictures = opened
    planes, told = panel.planes, []
    planes.drawer.trouble.connect(told.append)

    def move(index: int) -> None:
        planes.set_point((4, index, index))
        drawn(panel, until)

    def broken(*given):
        raise OSError("the image is gone.")

    for failures in (1, 2):
        pictures.clear()
        with monkeypatch.context() as disk:
            disk.setattr(plane_drawing, "draw_image", broken)
            move(10)
            move(11)
        assert told == ["The other planes cannot be drawn: the image is gone."] * failures
        assert not pictures
        move(12)
        assert len(pictures) == 2, "as soon as it can be"


def drawing_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("sslseg-planes")}


@pytest.fixture
def threads_before():
    return drawing_threads()


def test_the_thread_that_draws_ends_with_the_window(threads_before, opened, until):
    viewer, panel, _ = opened
    mine = drawing_threads() - threads_before
    assert len(mine) == 1
    panel.planes.set_point((4, 10, 10))
    viewer.close()
    until(lambda: not any(thread.is_alive() for thread in mine), 5)
    assert panel.planes.drawer.idle


def test_a_drawer_that_was_closed_draws_again_with_the_next_session(opened, until):
    _, panel, pictures = opened
    path = panel.session.project.path
    panel._end()
    pictures.clear()
    panel.planes.set_session(None)
    panel.open(path)
    until(lambda: panel.session is not None and len(pictures) == 2)
