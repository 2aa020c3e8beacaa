"""A step opens and closes with the mouse and with the keyboard."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sslseg.app.step import Step, brief_path, hint_label, spoken_duration


def test_a_step_is_opened_and_closed_with_the_keyboard(qtbot):
    step = Step(1, "Volume")
    qtbot.addWidget(step)
    step.show()
    assert step.head.focusPolicy() & Qt.FocusPolicy.TabFocus
    for key, shown in (
        (Qt.Key.Key_Return, True),
        (Qt.Key.Key_Left, False),
        (Qt.Key.Key_Right, True),
        (Qt.Key.Key_Right, True),
        (Qt.Key.Key_Space, False),
    ):
        QTest.keyClick(step.head, key)
        assert step.is_open == shown


def test_a_head_tells_its_whole_state_in_the_tooltip(qtbot):
    step = Step(4, "Review")
    qtbot.addWidget(step)
    step.set_state("4 of 10 slices known")
    assert "4 of 10 slices known" in step.head.toolTip()


def test_times_are_told_as_a_person_tells_them():
    assert [spoken_duration(s) for s in (-1, 20.4, 100, 7260)] == [
        "0 s",
        "20 s",
        "1 min 40 s",
        "2 h 01 min",
    ]


def test_a_long_path_keeps_its_beginning_and_its_end(qtbot):
    label = hint_label()
    qtbot.addWidget(label)
    path = "/home/someone/" + 30 * "folder/" + "scan-20260101"
    brief = brief_path(label, path)
    assert brief.startswith("/home")
    assert brief.endswith("0101")
    assert len(brief) < 60
    assert brief_path(label, "/tmp/a") == "/tmp/a"
