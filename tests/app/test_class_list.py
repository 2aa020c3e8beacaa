"""The list of classes: names, remarks, and as many rows as are to be seen."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_sslseg.app.class_list import ClassList
from napari_sslseg.volume.classes import ClassTable

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def classes(qtbot):
    widget = ClassList()
    qtbot.addWidget(widget)
    widget.show_table(ClassTable.from_ids([1, 2]), 1)
    widget.show()
    return widget


@pytest.mark.parametrize("points", [9, 16])
def test_the_rows_fit_in_any_font(classes, points, qtbot):
    classes.setStyleSheet(f"QWidget {{ font-size: {points}pt; }}")
    last = classes.list.item(classes.list.count() - 1)
    viewport = classes.list.viewport()

    def fits() -> bool:
        below = viewport.height() - classes.list.visualItemRect(last).bottom()
        return 0 <= below <= 6

    qtbot.waitUntil(fits)


def test_two_classes_with_equal_names_are_remarked_on(classes):
    table = ClassTable()
    table.add("Tumour")
    table.add("tumour ")
    table.rename(2, "tumour ")
    classes.show_table(table, 1)
    assert "Tumour" in classes.hint.text()
    table.rename(2, "Vessel")
    classes.show_table(table, 1)
    assert classes.hint.text() == ""


def test_a_label_without_a_class_highlights_none(classes):
    classes.choose(7)
    assert classes.list.currentRow() == -1
    assert not classes.remove_button.isEnabled()


def test_the_arrow_keys_choose_as_a_click_does(classes, qtbot):
    with qtbot.waitSignal(classes.chosen) as heard:
        QTest.keyClick(classes.list, Qt.Key.Key_Down)
    assert heard.args == [2]


def test_all_buttons_say_what_they_do(classes):
    for button in (classes.add_button, classes.color_button, classes.remove_button):
        assert button.isEnabled()
        assert button.toolTip()


def test_a_new_class_is_painted_with_and_its_name_is_asked_for(with_window, started, until):
    viewer, panel = started
    viewer.window.show()
    listed = panel.volume.classes
    until(listed.isVisible)
    listed.add_button.click()
    assert panel.session.references.layer.selected_label == 2
    assert listed.current() == 2
    editor = listed.list.findChild(QLineEdit)
    QTest.keyClicks(editor, "Vessel")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    until(lambda: panel.session.classes.name(2) == "Vessel")


def test_why_a_class_stays_is_said_below_the_list(started, paint, until):
    _, panel = started
    paint(panel.session.references.layer, 3, panel.truth[3] == 1, 1)
    panel.volume.classes.remove_button.click()
    until(lambda: "voxels" in panel.volume.classes.hint.text())
    assert "repaint or erase" in panel.volume.classes.hint.text()
    # Another one goes, and so does what is said, and the brush is of a class that there is.
    panel.session.add_class("Vessel")
    panel.volume.classes.remove_button.click()
    until(lambda: 2 not in panel.session.classes)
    assert panel.volume.classes.hint.text() == ""
    assert panel.session.references.layer.selected_label == panel.volume.classes.current() == 1
