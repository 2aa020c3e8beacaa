"""What counts as acting, and what the trainer and the panel make of it."""

from __future__ import annotations

from types import SimpleNamespace

from napari_sslseg.app import activity
from napari_sslseg.app.training_run import WAY_SECONDS, RunState
from napari_sslseg.training.events import MadeWay, Progress
from napari_sslseg.training.facts import Phase


def test_acting_is_noticed_told_to_the_trainer_and_shown(
    saved_soon, warm_trainer, with_proposal, until, all_read, qtbot, monkeypatch
):
    viewer, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    until(lambda: not session.autosave.pending)
    all_read()  # what is counted in threads after the proposal came
    monkeypatch.setattr(activity, "EVERY", 0.0)
    told = []
    session.activity.acted.connect(lambda: told.append(1))

    def noticed(act) -> bool:
        told.clear()
        act()
        return bool(told)

    def stroke() -> None:
        with layer.block_history():  # napari tells of the stroke at its end only
            layer.paint((8, 5, 35), 1)
            assert told

    drag = SimpleNamespace(type="mouse_move")
    moves = next(c for c in viewer.mouse_drag_callbacks if c == session.activity._on_drag)(
        viewer, drag
    )
    qtbot.wait(200)
    assert not noticed(lambda: qtbot.wait(400))  # a user who looks does not act
    assert noticed(lambda: session.go_to(8))
    assert noticed(stroke)
    assert noticed(session.history.undo)
    assert noticed(lambda: setattr(viewer.scene.camera, "zoom", 3.3))
    assert noticed(lambda: setattr(viewer.scene.camera, "center", (0.0, 9.0, 9.0)))
    assert noticed(panel.review.image_only.click)
    assert noticed(panel.review.image_only.click)
    assert noticed(lambda: panel.review.legend.boxes[2].toggle())
    assert noticed(lambda: next(moves))
    assert noticed(lambda: next(moves))
    viewer.layers.selection.active = layer
    layer.mode = "pan_zoom"
    assert not noticed(lambda: session.activity._on_move(viewer, drag))
    layer.mode = "paint"  # the brush is drawn where the mouse is
    assert noticed(lambda: session.activity._on_move(viewer, drag))

    # A trainer hears of it, seldom, and only while it works.
    sent = []
    run = session.training
    until(lambda: run._job is not None)
    monkeypatch.setattr(run._job, "make_way", sent.append)
    session.go_to(6)
    assert sent == []
    monkeypatch.setattr(run, "_state", RunState.RUNNING)
    monkeypatch.setattr(activity, "EVERY", 30.0)
    session.activity._last = float("-inf")
    for index in (1, 2, 3, 4):
        session.go_to(index)
    assert sent == [WAY_SECONDS]

    train = panel.train
    train.follow(Progress(Phase.TRAINING, 0.5, 12.0))
    train.follow(MadeWay(True, 1.0))
    assert train.bar.format() == "Makes way while you work"
    train.follow(Progress(Phase.TRAINING, 0.6, 11.0))
    assert train.bar.format() == "Makes way while you work"
    train.follow(MadeWay(False, 2.0))
    assert train.bar.format() == "Training, 11 s left"
    monkeypatch.setattr(run, "_state", RunState.IDLE)

    monkeypatch.setattr(activity, "EVERY", 0.0)
    noting = session.activity
    panel.close_session()
    told.clear()
    viewer.dims.set_current_step(0, 1)
    assert told == []
    assert noting._on_drag not in viewer.mouse_drag_callbacks
