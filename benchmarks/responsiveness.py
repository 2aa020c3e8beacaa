"""Measure how long the application holds the GUI thread while a user works in it.

    python benchmarks/responsiveness.py [--part sample|synthetic]... [--shape Z Y X]
                                        [--seconds N] [--rest N] [--json OUT]

Needs a screen (or Xvfb). ``sample`` trains for real on the sample volume while slices are
scrolled, layers painted on and regions switched; ``synthetic`` puts proposals into the project
of a large volume, as the trainer does, and scrolls, paints, accepts and undoes there, for a while
with the trainer at work: at the matching, with which a run begins, and, after a rest of `--rest`
seconds at most, at its training steps.

Every function of ``napari_sslseg.app`` is timed on the GUI thread, and so are the calls it makes
into napari. A function's *own* time leaves napari's out; its *held* time has all of it. A timer of
the event loop shows whether anything escaped that count. Frames are timed on the same image with
as many plain labels layers instead of ours, then with the confidence layer hidden and shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gui_report import report
from gui_trainer import TrainerWatch
from gui_user import User, begin, put_proposal, synthetic_classes, synthetic_image, wait
from gui_watch import Heartbeat, Watch, watch_application


def compare_confidence(user: User, session: Any, rounds: int = 3) -> None:
    """Frames with the confidence layer hidden and shown, taking turns."""
    layer = session.proposals[session.active].layer
    for _ in range(rounds):
        for shown in (False, True):
            session.regions.layer.visible = shown
            wait(0.2)
            word = "shown" if shown else "hidden"
            user.scroll(f"scroll: ours, confidence {word}", 15)
            user.paint(layer, f"paint: proposal, confidence {word}")
            user.paint(session.references.layer, f"paint: References, confidence {word}")


def sample_part(viewer: Any, panel: Any, user: User, seconds: float) -> None:
    """Train for real and work meanwhile."""
    from napari_sslseg.app.readers import labels_layer
    from napari_sslseg.sample import load

    truth = np.asarray(labels_layer(load()[1])[0])
    session = begin(viewer, panel, truth)
    panel.train.budget.choices = [("chosen", seconds)]
    panel.train.budget.value = seconds
    panel.train.train.click()
    boxes = panel.review.legend.boxes
    turn = 0
    while session.training.busy:
        turn += 1
        user.scroll("scroll: while training", 5)
        if session.active in session.proposals:
            user.paint(session.proposals[session.active].layer, "paint: proposal while training", 5)
            boxes[1 + turn % 4].toggle()
        user.paint(session.references.layer, "paint: References while training", 5)
        session.references.layer.undo()
        wait(0.1)
    wait(2)
    panel.review.next.click()
    wait(0.2)
    panel.review.accept.click()
    wait(1)
    compare_confidence(user, session)


def gestures(panel: Any, user: User, words: str) -> None:
    """Scroll, paint, take it back, and look at the image alone, without a rest."""
    session = panel.session
    layer = session.proposals[session.active].layer
    user.scroll(f"scroll: {words}", 10)
    user.paint(layer, f"paint: proposal, {words}")
    user.paint(session.references.layer, f"paint: References, {words}")
    session.history.undo()
    session.history.undo()
    wait(0.05)  # what they changed is drawn before the next frame is timed
    user.act(f"image only: {words}", panel.review.image_only.click)
    user.act(f"image only: {words}", panel.review.image_only.click)


def train_meanwhile(panel: Any, user: User, seconds: float, rest: float) -> dict[str, Any]:
    """Scroll, paint and switch layers while the trainer works, without and with the planes.

    Nobody ever rests here but once, which is the worst for the trainer: it makes way for the user,
    for two thirds of the time at most. Returns what it did meanwhile.
    """
    session = panel.session
    user.toggle_plain(panel.review.image_only.click)
    for _ in range(12):
        user.act("image only: ours", panel.review.image_only.click)
        wait(0.05)
    for _ in range(5):
        gestures(panel, user, "one after another, no training")
    panel.train.budget.choices = [("long", 3600.0)]
    panel.train.train.click()
    wait(60, lambda: panel.train.cancel.isEnabled() and session.training.pid is not None)
    trainer = TrainerWatch(session)
    user.meanwhile = trainer.doing

    def never_rest(words: str) -> None:
        wait(1)
        end = time.monotonic() + seconds / 2
        while time.monotonic() < end and session.training.busy:
            gestures(panel, user, words)

    never_rest("while training")
    panel.planes.set_shown(True)
    never_rest("while training, planes open")
    panel.planes.set_shown(False)
    wait(1)  # it tells how long it has made way when it goes on
    found = {"nobody rested": trainer.stop()}
    with contextlib.suppress(TimeoutError):
        trainer = TrainerWatch(session)
        user.meanwhile = trainer.doing
        wait(rest, lambda: trainer.steps > 0)
        trainer.stop()
        trainer = TrainerWatch(session)
        user.meanwhile = trainer.doing
        never_rest("while training steps")
        wait(1)
        found["training steps"] = trainer.stop()
    user.meanwhile = lambda: ""
    panel.train.cancel.click()
    wait(10, lambda: not session.training.busy)
    return found


def synthetic_part(
    viewer: Any, panel: Any, user: User, image: Any, seconds: float, rest: float
) -> dict[str, Any]:
    """Work on a large volume with proposals that come in; returns what the trainer did."""
    truth = synthetic_classes(image.data.shape)
    session = begin(viewer, panel, truth)
    put_proposal(session, "Reference-guided", 0.02)
    wait(1)
    put_proposal(session, "SemSim", 0.04)
    wait(3)
    compare_confidence(user, session)
    layer = session.proposals[session.active].layer
    boxes = panel.review.legend.boxes
    for turn in range(4):
        panel.review.next.click()
        wait(0.2)
        user.paint(layer, "paint: proposal, then accept")
        layer.undo()
        wait(0.2)
        boxes[1 + turn % 4].toggle()
        panel.review.accept.click()
        wait(1.2)
    session.references.layer.undo()
    wait(0.3)
    put_proposal(session, session.proposals[session.active].name, 0.06)
    wait(2)
    for button in list(panel.review.buttons.values()):
        button.click()
        wait(0.5)
    for axis in (1, 2, 0):
        panel.volume.axis.setCurrentIndex(axis)
        panel.volume.axis.activated.emit(axis)
        wait(1)
        user.scroll(f"scroll: axis {axis}", 8)
        panel.references.suggest.click()
        wait(0.5)
    session.edit_class(1, name="Organ", color="#22aa88")
    wait(0.5)
    panel.volume.classes.add_button.click()
    panel.volume.classes.remove_wanted.emit(session.classes.ids[-1])
    wait(0.5)
    trainer = train_meanwhile(panel, user, seconds, rest)
    target = Path(session.project.path) / "out.nii.gz"
    panel.export.export_to(target)
    wait(300, lambda: "Exported to" in panel.export.hint.text())
    return trainer


def leave_and_return(panel: Any) -> None:
    """Close the project with the panel's button, and continue it."""
    panel.volume.leave.click()
    wait(60, lambda: panel.session is None)
    wait(1)
    panel.volume.recent.button.click()
    wait(300, lambda: panel.session is not None and len(panel.session.proposals) > 0)
    wait(2)


def long_run(panel: Any) -> None:
    """Curves of a run of an hour, drawn with every new point."""
    from napari_sslseg.training.events import Loss

    panel.train.open()
    wait(0.3)
    for k in range(20_000):
        panel.train.chart.losses.append((0.2 * k, 1 / (1 + k)))
    for k in range(5):
        panel.train.follow(Loss(k, 4000.0 + k, 0.1, {}))
        wait(0.1)


def measure(part: str, shape: tuple[int, ...], seconds: float, rest: float) -> dict[str, Any]:
    """Run one part in a viewer of its own."""
    import napari

    from napari_sslseg.app.panel import LoopPanel

    watch = Watch()
    watch_application(watch)
    viewer = napari.Viewer(show=True)
    user = User(viewer)
    if part == "sample":
        viewer.open_sample("napari-sslseg", "brain")
    else:
        viewer.add_image(synthetic_image(shape), name="synthetic", scale=(1.5, 1, 1))
    image = viewer.layers[0]
    panel = LoopPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Segment a volume")
    wait(1)
    # The panel is idle until labelling starts; it is there so that the canvas has one size.
    user.baseline(image)
    watch.calls.clear()
    beat, trainer = Heartbeat(watch), None
    if part == "sample":
        sample_part(viewer, panel, user, seconds)
    else:
        trainer = synthetic_part(viewer, panel, user, image, seconds, rest)
    long_run(panel)
    leave_and_return(panel)
    beat.stop()
    result = report(part, watch, beat, user)
    if trainer is not None:
        result["trainer"] = trainer
        for when, what in trainer.items():
            print(f"trainer, {when}: {what}")
    panel.close_session()
    viewer.close()
    return result


def main() -> None:
    """Run the parts, each in a process of its own, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=["sample", "synthetic"])
    parser.add_argument("--shape", nargs=3, type=int, default=(200, 512, 512), metavar="N")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training")
    parser.add_argument(
        "--rest", type=float, default=240.0, help="seconds to wait for training steps at most"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for part in options.part or ["sample", "synthetic"]:
        with tempfile.TemporaryDirectory() as home:
            os.environ["NAPARI_SSLSEG_HOME"] = home
            results.append(measure(part, tuple(options.shape), options.seconds, options.rest))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
