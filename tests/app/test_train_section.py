"""Step 3: words of a run, and nothing of it when its project is closed."""

from __future__ import annotations

import pytest

from napari_sslseg.training.events import (
    Failed,
    NetworkUnsaved,
    Planned,
    Progress,
    ProposalReady,
    Started,
)
from napari_sslseg.training.facts import Others, Phase
from napari_sslseg.volume.classes import SegmentClass

pytestmark = pytest.mark.usefixtures("without_window")


def test_a_plan_is_brief_and_its_details_are_in_a_tooltip(started):
    _, panel = started
    train = panel.train
    train.follow(Started("cpu"))
    assert train.hint.text() == "Works on the processor."
    train.follow(Planned("cpu", "combined", [96, 96], 1, 3, 3, Others(["b"])))
    assert train.hint.text() == "Training on the processor. Learns from b as well."
    assert "frames of 96×96" in train.bar.toolTip()
    train.follow(Progress(Phase.TRAINING, 0.9, 4.2))
    assert train.bar.format() == "Training, 4 s left"
    train.follow(Progress(Phase.PROPOSING, 0.99, 0.0))
    assert train.bar.format() == "Proposing, finishing…"
    train.follow(NetworkUnsaved("The disk is full."))
    assert train.hint.text() == "The network could not be kept. The disk is full."


def test_fields_begin_at_one_edge(with_window, make_panel, until):
    _, panel = make_panel(show=True)
    train = panel.train
    train.open()
    boxes = [field.native for field in (train.method, train.budget, train.device)]
    until(lambda: all(box.isVisible() for box in boxes))
    assert len({box.x() for box in boxes}) == 1


def test_a_closed_project_leaves_nothing_to_read_and_closes_its_steps(with_proposal):
    _, panel = with_proposal
    train = panel.train
    for index, place in ((6, "on a slice that is no reference"), (4, "in step 4")):
        panel.session.go_to(index)
        train.follow(ProposalReady("semsim", "SemSim", 1))
        assert train.hint.text().startswith("New proposal")
        assert place in train.hint.text()
    panel.review.open()
    panel.column.verticalScrollBar().setValue(10_000)
    panel.close_session()
    assert train.hint.text() == ""
    assert panel.volume.is_open
    assert not any(step.is_open for step in panel.steps[1:])
    assert panel.column.verticalScrollBar().value() == 0


def test_a_class_without_ink_is_named(started, paint):
    _, panel = started
    session, train = panel.session, panel.train
    session.add_classes([SegmentClass(2, "Aorta", "#ff0000")])
    session.go_to(4)
    paint(session.references.layer, 4, panel.truth[4] == 1, 1)
    assert train.train.isEnabled()
    assert train.hint.text().startswith("Not painted in this volume yet: Aorta.")
    paint(session.references.layer, 4, panel.truth[4] == 0, 2)
    assert train.hint.text() == ""
    assert train.bar.isHidden()  # nothing has run
    train.follow(Failed("No memory is left."))
    train.refresh()
    assert train.hint.text() == "No memory is left."
