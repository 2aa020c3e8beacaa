"""The state of training beside the strip, in every step."""

from __future__ import annotations

import pytest

from napari_sslseg.app.training_line import TrainingLine
from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import Cancelled, Failed, Finished, MadeWay, Progress
from napari_sslseg.training.facts import Phase


@pytest.fixture
def line(qtbot):
    widget = TrainingLine()
    qtbot.addWidget(widget)
    return widget


def test_a_run_is_told_from_its_start_to_its_end(line):
    heard = []
    line.shown_changed.connect(heard.append)
    line.show_state(RunState.STARTING)
    assert (line.text, line.share) == ("Starting…", 0.0)
    line.follow(Progress(Phase.TRAINING, 0.25, 80.0))
    assert (line.text, line.share) == ("Training, 80 s left", 0.25)
    line.follow(MadeWay(True, 1.0))
    assert line.text == "Makes way while you work"
    line.follow(MadeWay(False, 1.0))
    line.show_state(RunState.PAUSED)
    assert (line.text, line.share) == ("Training is paused", 0.25)
    line.follow(Finished(recommended="semsim", seconds=100.0))
    assert (line.text, line.share) == ("Done in 1 min 40 s", 1.0)
    assert heard == [True]
    line._over.timeout.emit()
    assert line.text == ""
    assert heard == [True, False]


@pytest.mark.parametrize(
    ("end", "text"),
    [(Cancelled(), "Training was cancelled"), (Failed("No memory."), "No memory.")],
)
def test_an_end_that_nobody_wanted_is_told_too(line, end, text):
    line.follow(end)
    assert text in line.text
    assert text in line.toolTip()


def test_retrain_is_answered_beside_the_strip_and_nothing_below_moves(with_proposal, until):
    viewer, panel = with_proposal
    viewer.window.resize(1280, 800)
    viewer.window.show()
    panel.volume.close_step()
    panel.train.close_step()
    panel.review.open()
    until(panel.review.retrain.isVisible)
    panel.review.hint.setText("of what was done before")
    place = panel.top.chips.y(), panel.top.height()
    panel.review.retrain.click()
    until(lambda: panel.top.training.isVisible())
    assert panel.top.training.text == "Starting…"
    assert panel.review.hint.text() == ""
    assert not panel.train.is_open
    assert (panel.top.chips.y(), panel.top.height()) == place
    panel.session.training.cancel()
    until(lambda: not panel.session.training.busy)
    assert panel.top.training.text == "Training was cancelled"
