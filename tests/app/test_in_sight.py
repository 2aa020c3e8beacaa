"""What was just said is in sight, and nothing is scrolled away under the pointer."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QWidget

from napari_sslseg.app.in_sight import InSight
from napari_sslseg.app.panel_column import PanelColumn
from napari_sslseg.app.step import Step, hint_label, say

TEXT = 5 * "Exported to a place that takes several lines to say. "


@pytest.mark.parametrize("over", ["nothing", "the step", "another step"])
def test_what_was_said_is_scrolled_to_unless_the_pointer_is_elsewhere(qtbot, qapp, over):
    step, hint, high = Step(5, "Export"), hint_label(), QWidget()
    high.setFixedHeight(200)
    step.rows.addWidget(high)
    step.rows.addWidget(hint)
    column = PanelColumn([step])
    qtbot.addWidget(column)
    column.resize(260, 200)
    column.show()
    step.open()
    bar, said = column.verticalScrollBar(), InSight(hint, step)
    say(hint, "Exporting…")
    said.bring()
    qtbot.waitUntil(lambda: bar.value() > 0)
    bar.setValue(0)
    column.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, over != "nothing")
    step.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, over == "the step")
    say(hint, TEXT)
    said.bring()
    if over == "another step":
        qtbot.wait(60)
        assert bar.value() == 0
        return
    lowest = hint.heightForWidth(hint.width()) - 1

    def bottom() -> int:
        return hint.mapTo(column.viewport(), QPoint(0, lowest)).y()

    qtbot.waitUntil(lambda: bottom() < column.viewport().height())
