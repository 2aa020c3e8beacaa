"""Nothing in the panel is cut off at its sides, whatever is open and however large the font is."""

from __future__ import annotations

import pytest
from napari.settings import get_settings

from napari_sslseg.app.panel_column import PanelColumn
from napari_sslseg.app.step import Step
from napari_sslseg.training.events import Estimated
from napari_sslseg.training.facts import Basis

from .conftest import put_proposal


@pytest.fixture
def whole(with_proposal, until):
    """Give a panel with all that it may show, in a window."""
    viewer, panel = with_proposal
    session = panel.session
    viewer.window.resize(1280, 800)
    viewer.window.show()  # widths follow from the theme, which comes with the window
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    session.edit_class(1, name="A structure with a long name")
    session.retraining.follow(Estimated("semsim", {"A": 0.9}, 0.9, 0.8, 0.95, Basis("left out", 2)))
    until(lambda: panel.review.legend.shares[4].text().endswith("%"))
    session.go_to(4)
    panel.review.accept.click()
    panel.review.hint.setText("Exported to /home/" + 60 * "x" + ".nii.gz")
    panel.train.again.setText("Training is running; what you painted since is not in it.")
    panel.train.restart.show()
    panel.train.go_on.show()
    return panel


def test_everything_fits_into_the_width_of_the_panel_in_any_font(whole, until):
    panel, column = whole, whole.findChild(PanelColumn)
    for points in (9, 12, 16):
        for step in panel.findChildren(Step):
            step.close_step()
        get_settings().appearance.font_size = points
        until(lambda p=points: panel.review.head.font().pointSizeF() == p + 1)
        until(lambda: not column.waiting)
        before = column.minimumWidth()
        for step in panel.findChildren(Step):
            step.open()
        until(lambda: column.verticalScrollBar().isVisible() and not column.waiting)
        assert column.minimumWidth() == before  # the panel does not grow when a step opens
        until(lambda: not column.horizontalScrollBar().isVisible())
        # The dock may be wider than the panel must be.
        room = column.viewport().width() - (column.width() - column.minimumWidth())
        assert column.widget().minimumSizeHint().width() <= room
        assert panel.top.minimumSizeHint().width() <= column.minimumWidth()


def test_heads_buttons_and_legend_follow_naparis_font(whole, until):
    top = whole.top
    for points in (16, 9):
        get_settings().appearance.font_size = points
        until(lambda p=points: whole.review.head.font().pointSizeF() == p + 1)
        assert whole.review.head.font().bold()
        assert not whole.volumes.head.font().bold()
        assert top.marks.font().pointSizeF() == pytest.approx(0.83 * points, abs=0.1)
        for button in (top.undo, top.redo):
            wide = button.fontMetrics().horizontalAdvance(button.text())
            until(lambda b=button, w=wide: b.width() >= w + 4)


def test_nothing_is_below_the_last_step(whole, until):
    panel, column = whole, whole.findChild(PanelColumn)
    for step in panel.findChildren(Step):
        step.head.setChecked(step in (panel.references, panel.review, panel.export))
    panel.review.quality.setText("Words that are wrapped. " * 12)
    bar, last = column.verticalScrollBar(), panel.steps[-1]
    until(lambda: bar.isVisible() and not column.waiting)
    until(lambda: column.widget().height() <= last.geometry().bottom() + 10)
