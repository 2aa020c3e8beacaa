"""Step 3: words of a run, and nothing of it when its project is closed."""

from __future__ import annotations

from napari_sslseg.training.events import Progress, ProposalReady, Started


def test_a_plan_is_brief_and_its_details_are_in_a_tooltip(started):
    _, panel = started
    train = panel.train
    plan = (
        "Training on the processor: combined, frames of 96×96, 3 labelled and 3 unlabelled a step."
    )
    train.follow(Started("cpu", plan))
    assert train.hint.text() == "Training on the processor."
    assert train.bar.toolTip() == plan
    train.follow(Progress("Training", 0.9, 4.2))
    assert train.bar.format() == "Training, 4 s left"
    train.follow(Progress("Proposing", 0.99, 0.0))
    assert train.bar.format() == "Proposing, finishing…"


def test_fields_begin_at_one_edge(make_panel, until):
    _, panel = make_panel(show=True)
    train = panel.train
    train.open()
    boxes = [field.native for field in (train.method, train.budget, train.device)]
    until(lambda: all(box.isVisible() for box in boxes))
    assert len({box.x() for box in boxes}) == 1


def test_a_closed_project_leaves_nothing_to_read_and_closes_its_steps(with_proposal):
    _, panel = with_proposal
    train = panel.train
    train.follow(ProposalReady("semsim", "SemSim", 1))
    assert train.hint.text().startswith("New proposal")
    panel.review.open()
    panel.column.verticalScrollBar().setValue(10_000)
    panel.close_session()
    assert train.hint.text() == ""
    assert panel.volume.is_open
    assert not any(step.is_open for step in panel.steps[1:])
    assert panel.column.verticalScrollBar().value() == 0
