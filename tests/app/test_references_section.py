"""Step 2: where *Suggest* goes, and pictures that follow ink, colours and contrast."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")

NOTHING_MORE = "Nothing more to suggest: all others that show something have ink."


def suggest(panel, until) -> int:
    """Press *Suggest*; return the slice that it goes to."""
    session = panel.session
    before = session.references.current_slice()
    panel.references.suggest.click()
    until(
        lambda: (
            session.references.current_slice() != before
            or panel.references.hint.text() == NOTHING_MORE
        )
    )
    return session.references.current_slice()


def test_suggest_goes_on_from_the_slice_in_view_and_leaves_out_what_has_ink(started, paint, until):
    _, panel = started
    session = panel.session
    session.go_to(0)
    visited = [suggest(panel, until) for _ in range(4)]
    assert len(set(visited)) == 3
    assert visited[3] == visited[0]
    dot = np.zeros(SHAPE[1:], bool)
    dot[5, 5] = True
    for index in visited:
        paint(session.references.layer, index, dot, 1)
        session.references.look_at(index)
    session.go_to(visited[0])
    assert suggest(panel, until) not in visited


def test_when_nothing_is_left_to_suggest_it_is_said(started, paint, until):
    _, panel = started
    session = panel.session
    dot = np.zeros(SHAPE[1:], bool)
    dot[5, 5] = True
    for index in range(SHAPE[0]):
        if index != 4:
            paint(session.references.layer, index, dot, 1)
            session.references.look_at(index)
    session.go_to(4)
    assert suggest(panel, until) == 4
    assert panel.references.hint.text() == NOTHING_MORE


def test_pictures_follow_small_strokes_colours_and_contrast(started, paint, until):
    _, panel = started
    session, section = panel.session, panel.references
    dot = np.zeros(SHAPE[1:], bool)
    dot[5, 5] = True
    paint(session.references.layer, 4, dot, 1)
    session.references.look_at(4)
    until(lambda: section.list.count() == 1 and not section.list.item(0).icon().isNull())

    def picture() -> int:
        return section.list.item(0).icon().cacheKey()

    shown = picture()
    dot[7, 7] = True  # in the same slice, and not in every third row
    session.go_to(4)
    paint(session.references.layer, 4, dot, 1)
    until(lambda: picture() != shown)
    shown = picture()
    session.edit_class(1, color="#123456")
    until(lambda: picture() != shown)
    shown = picture()
    session.image.contrast_limits = (0, 77)
    until(lambda: picture() != shown)


def test_suggest_goes_far_from_what_has_ink(started, paint, until):
    _, panel = started
    session = panel.session
    dot = np.zeros(SHAPE[1:], bool)
    dot[5, 5] = True
    paint(session.references.layer, 5, dot, 1)
    session.references.look_at(5)
    session.go_to(5)
    first = suggest(panel, until)
    assert abs(first - 5) >= 3
    assert (suggest(panel, until) < 5) != (first < 5)


def test_what_follows_the_first_references_is_said(started, paint):
    _, panel = started
    session, told = panel.session, []
    dot = np.zeros(SHAPE[1:], bool)
    dot[5, 5] = True
    for index in (2, 5, 8):
        session.go_to(index)
        paint(session.references.layer, index, dot, 1)
        panel.references.mark.click()
        told.append(panel.references.hint.text())
    assert "Two more are a good start" in told[0]
    assert "One more is a good start" in told[1]
    assert told[2] == "Slice 8 is a reference. Train in step 3, or label more."
