"""The dialog that asks which volumes to open."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_sslseg.app.series_chooser import SeriesChooser, ask
from napari_sslseg.formats.choice import Choice, SeveralVolumesError
from napari_sslseg.formats.dicom_series import SeriesInfo

SERIES = (
    SeriesInfo("1", "Scout, CT, 512 × 512, 1 slice", shape=(512, 512, 1)),
    SeriesInfo("2", "Thorax, CT, 512 × 512, 300 slices", shape=(512, 512, 300)),
    SeriesInfo("3", "Thorax thick, CT, 512 × 512, 60 slices", shape=(512, 512, 60)),
)


@pytest.fixture
def chooser(qtbot):
    dialog = SeriesChooser("/scans/patient", SERIES)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def open_button(dialog):
    return dialog.buttons.button(QDialogButtonBox.StandardButton.Open)


def test_series_with_the_most_slices_is_chosen_at_first(chooser):
    assert chooser.chosen() == ["2"]
    assert not chooser.search.isVisible()
    assert "/scans/patient" in chooser.label.text()


def test_several_are_chosen_in_the_order_of_the_list(chooser):
    chooser.list.item(2).setSelected(True)
    chooser.list.item(0).setSelected(True)
    assert chooser.chosen() == ["1", "2", "3"]


def test_nothing_chosen_cannot_be_opened(chooser):
    chooser.list.clearSelection()
    assert not open_button(chooser).isEnabled()


def test_double_click_opens(chooser, qtbot):
    rect = chooser.list.visualItemRect(chooser.list.item(0))
    with qtbot.waitSignal(chooser.accepted):
        view = chooser.list.viewport()
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=rect.center())
        qtbot.mouseDClick(view, Qt.MouseButton.LeftButton, pos=rect.center())
    assert chooser.chosen() == ["1"]


def test_long_lists_can_be_searched_and_what_is_hidden_is_not_opened(qtbot):
    choices = tuple(Choice(str(n), f"time point {n} of 40") for n in range(1, 41))
    dialog = SeriesChooser("scan.nii", choices)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.search.isVisible()
    dialog.search.setText("point 17")
    assert dialog.chosen() == []
    shown = [n for n in range(40) if not dialog.list.item(n).isHidden()]
    assert shown == [16]


@pytest.mark.parametrize(("accept", "keys"), [(True, ["2"]), (False, [])])
def test_user_is_asked(qtbot, accept, keys):
    from qtpy.QtWidgets import QWidget

    parent = QWidget()
    qtbot.addWidget(parent)

    def answer():
        dialog = QApplication.activeModalWidget()
        dialog.accept() if accept else dialog.reject()

    QTimer.singleShot(50, answer)
    assert ask(SeveralVolumesError("folder", SERIES), parent) == keys


def test_nobody_is_asked_without_a_viewer():
    assert ask(SeveralVolumesError("folder", SERIES)) is None
