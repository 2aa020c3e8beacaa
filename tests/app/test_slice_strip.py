"""The bar of all slices: what it marks, where a click leads."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_sslseg.app.palette import REGION_COLORS
from napari_sslseg.app.slice_strip import (
    ACCEPTED_COLOR,
    REFERENCE_COLOR,
    SliceFacts,
    SliceStrip,
)

from .conftest import SHAPE


@pytest.fixture
def strip(qtbot):
    widget = SliceStrip()
    qtbot.addWidget(widget)
    widget.resize(310, widget.height())
    widget.show()
    return widget


def facts(count: int = 20) -> SliceFacts:
    states = np.zeros(count, np.uint8)
    states[[2, 10]] = 2
    regions = np.zeros((count, 5), np.int64)
    regions[5, 4], regions[12, 2], regions[10, 1] = 400, 100, 900
    corrected = np.zeros(count, bool)
    corrected[7] = True
    return SliceFacts(states, {10}, regions, corrected)


def color_at(strip: SliceStrip, x: float, y: float) -> str:
    return strip.grab().toImage().pixelColor(int(x), int(y)).name()


def test_doubt_references_and_accepted_slices_have_their_colours(strip):
    strip.show_facts(facts())
    strip.show_current(0)
    assert color_at(strip, strip.middle_of(5), 30) == REGION_COLORS[4]
    assert color_at(strip, strip.middle_of(5), 8) == REGION_COLORS[4]
    assert color_at(strip, strip.middle_of(12), 30) == REGION_COLORS[2]
    assert color_at(strip, strip.middle_of(12), 8) != REGION_COLORS[2], "half as high"
    assert color_at(strip, strip.middle_of(2), 38) == REFERENCE_COLOR
    assert color_at(strip, strip.middle_of(10), 38) == ACCEPTED_COLOR
    assert color_at(strip, strip.middle_of(15), 38) not in (REFERENCE_COLOR, ACCEPTED_COLOR)


@pytest.mark.parametrize("count", [1, 20, 310, 900])
def test_every_slice_can_be_pointed_at(strip, count):
    strip.show_facts(facts(max(count, 13)) if count > 12 else SliceFacts(np.zeros(count, np.uint8)))
    total = strip.count
    for index in {0, total // 2, total - 1}:
        assert abs(strip.index_at(strip.middle_of(index)) - index) <= total // 300
    assert strip.index_at(-50) == 0
    assert strip.index_at(5000) == total - 1


def test_the_worst_slice_is_seen_among_more_slices_than_pixels(strip):
    count = 3000
    regions = np.zeros((count, 5), np.int64)
    regions[1503, 4] = 50
    strip.show_facts(SliceFacts(np.zeros(count, np.uint8), set(), regions))
    image = strip.grab().toImage()
    row = [image.pixelColor(x, 20).name() for x in range(image.width())]
    assert row.count(REGION_COLORS[4]) == 1


def test_a_click_and_a_drag_go_to_slices(without_window, with_proposal, qtbot):
    _, panel = with_proposal
    strip, session = panel.top.strip, panel.session
    place = [QPoint(int(strip.middle_of(z)), 15) for z in range(SHAPE[0])]
    qtbot.mousePress(strip, Qt.MouseButton.LeftButton, pos=place[9])
    assert session.references.current_slice() == 9
    qtbot.mouseRelease(strip, Qt.MouseButton.LeftButton, pos=place[9])
    assert strip._current == 9
    session.go_to(2)
    assert strip._current == 2


def test_the_strip_follows_ink_corrections_and_counts(without_window, with_proposal, paint, until):
    _, panel = with_proposal
    session, strip = panel.session, panel.top.strip
    until(lambda: strip.facts.regions is not None)
    assert int(np.argmax(strip.facts.regions[:, 4])) == 4
    assert "likely wrong: " in strip.facts.describe(4)
    assert strip.facts.describe(6) == "Slice 6, a reference\nno doubt"
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    paint(session.proposals["semsim"].layer, 8, mask, 1)
    until(lambda: bool(strip.facts.corrected[8]))
    session.go_to(4)
    panel.review.accept.click()
    assert strip.facts.accepted == {4}
    until(lambda: strip.facts.regions[4, 4] == 0)


def test_the_strip_turns_with_the_axis(without_window, with_proposal, until):
    _, panel = with_proposal
    strip = panel.top.strip
    panel.session.set_axis(2)
    until(lambda: strip.facts.regions is not None and len(strip.facts.regions) == SHAPE[2])
    assert strip.count == SHAPE[2]


def test_there_is_no_strip_without_a_project(without_window, make_panel):
    _, panel = make_panel()
    assert not panel.top.isVisibleTo(panel)


def test_the_keyboard_goes_from_slice_to_slice(strip, qtbot):
    strip.show_facts(facts(20))
    strip.wanted.connect(strip.show_current)
    assert strip.focusPolicy() & Qt.FocusPolicy.TabFocus
    strip.show_current(4)
    seen = []
    strip.wanted.connect(seen.append)
    for key in (
        Qt.Key.Key_Right,
        Qt.Key.Key_Left,
        Qt.Key.Key_PageDown,
        Qt.Key.Key_End,
        Qt.Key.Key_End,
        Qt.Key.Key_Home,
    ):
        QTest.keyClick(strip, key)
    assert seen == [5, 4, 14, 19, 0]
