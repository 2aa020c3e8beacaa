"""Nothing in the panel is cut off at its sides, whatever is open."""

from __future__ import annotations

from qtpy.QtWidgets import QScrollArea

from napari_sslseg.training.events import Estimated

from .conftest import put_proposal


def test_everything_fits_into_the_width_of_the_panel(with_proposal, until, qtbot):
    viewer, panel = with_proposal
    session = panel.session
    viewer.window.resize(1280, 800)
    viewer.window.show()  # widths follow from the theme, which comes with the window
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    session.edit_class(1, name="A structure with a long name")
    session.retraining.follow(Estimated("semsim", {"A": 0.9}, 0.9, 0.8, 0.95, "Measured."))
    until(lambda: panel.review.legend.shares[4].text().endswith("%"))
    session.go_to(4)
    panel.review.accept.click()
    panel.train.train.click()
    for step in (*panel.steps, *panel.review.parts):
        step.open()
    panel.review.hint.setText("Exported to /home/" + 60 * "x" + ".nii.gz")
    panel.train.again.setText("Training is running; what you painted since is not in it.")
    panel.train.restart.show()
    panel.train.go_on.show()
    qtbot.wait(50)
    session.training.cancel()
    scroll = panel.findChild(QScrollArea)
    assert scroll.verticalScrollBar().isVisible()
    # The dock may be wider than the panel must be.
    room = scroll.viewport().width() - (panel.width() - panel.minimumWidth())
    assert scroll.widget().minimumSizeHint().width() <= room
    assert panel.top.minimumSizeHint().width() <= panel.minimumWidth()
