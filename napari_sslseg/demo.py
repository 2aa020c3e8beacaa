"""The main job on the sample volume: ``python -m napari_sslseg.demo``.

With a screen it opens napari with the sample, its classes and three reference slices, ready to
train. With ``--walk``, or where nobody is watching, it goes through the whole loop by itself with
the panel's own buttons, and leaves screenshots, the project and the exported labels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari
    import numpy.typing as npt

    from .app.panel import LoopPanel

#: Seconds of training in each of the two rounds of the walk.
WALK_SECONDS = 60.0

#: What a walk writes beside its project, which `clear_walk` takes away again.
_SUMMARY, _PROJECT, _LABELS = "summary.json", "project", "brain_labels.nii.gz"
_WRITTEN = re.compile(r"\d{1,2}-[a-z-]+\.png|brain_labels\..+|summary\.json")


def main() -> int:
    """Open the sample, or walk through the loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walk", action="store_true", help="go through the loop by itself")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="where results go")
    parser.add_argument("--seconds", type=float, default=WALK_SECONDS, help="training a round")
    arguments = parser.parse_args()
    walk = arguments.walk or os.environ.get("NAPARI_SSLSEG_HEADLESS") == "1"
    out = arguments.out.resolve()
    if walk:
        try:
            clear_walk(out)
        except OSError as error:
            print(f"Error: {_why_not(out, error)}", file=sys.stderr)
            return 2
        os.environ["NAPARI_SSLSEG_HOME"] = str(out / _PROJECT)
    import napari
    from napari.qt.threading import WorkerBase

    viewer = napari.Viewer(title="napari-sslseg demo")
    viewer.window.resize(1280, 800)
    panel = open_sample(viewer)
    if not walk:
        print("Press Train in step 3 of the panel; the first proposal comes within seconds.")
        napari.run()
        return 0
    results = Walk(viewer, panel, out, arguments.seconds).go()
    viewer.close()
    WorkerBase.await_workers()  # as napari does when its event loop ends; here none has run
    (out / _SUMMARY).write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


def clear_walk(out: Path) -> None:
    """Make the folder of a walk ready: take away what an earlier one wrote, and nothing else.

    It is made, with those above it, when missing.

    Raises
    ------
    FileExistsError
        When there is something in the folder, but no walk's summary.
    OSError
        When it cannot be written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()) and not _was_walked(out):
        raise FileExistsError(out)
    for path in list(out.iterdir()):
        if path.name == _PROJECT and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif _WRITTEN.fullmatch(path.name):
            path.unlink()
    (out / _PROJECT).mkdir(exist_ok=True)
    # From the beginning: the folder of a walk that is interrupted is to be known as one, too.
    summary = json.dumps({"project": str(out / _PROJECT)})
    (out / _SUMMARY).write_text(summary, encoding="utf-8")


def _was_walked(out: Path) -> bool:
    """Whether a walk's summary is in a folder; other programs write a ``summary.json`` as well."""
    try:
        summary = json.loads((out / _SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(summary, dict) and "project" in summary


def _why_not(out: Path, error: OSError) -> str:
    """Say in a sentence why no walk can write there."""
    if isinstance(error, FileExistsError) and out.is_dir():
        return f"{out} is not empty, and no demo wrote it; give a new or empty folder with --out."
    reason = error.strerror or error
    return f"{out} cannot be written to ({reason}); choose another folder with --out."


def open_sample(viewer: napari.Viewer) -> LoopPanel:
    """Open the sample with its references as a user would, and start labelling.

    Raises
    ------
    TimeoutError
        When its project has not begun within a minute.
    """
    viewer.open_sample("napari-sslseg", "brain_with_references")
    _, widget = viewer.window.add_plugin_dock_widget("napari-sslseg", "Segment a volume")
    panel: Any = widget
    panel.volume.start.click()
    wait_for(lambda: panel.session is not None, 60, "the project")
    settle(0.5)
    viewer.reset_view()  # the panel has taken some of the canvas
    references = panel.session.references.references()
    panel.session.go_to(references[len(references) // 2])
    return panel


def wait_for(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Let the application work until something has happened.

    Parameters
    ----------
    done : callable
        Tells whether it has; asked a hundred times a second.
    seconds : float
    what : str
        For the message: what "did not come".

    Raises
    ------
    TimeoutError
        When it has not after `seconds`.
    """
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        QApplication.processEvents()
        time.sleep(0.01)
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s.")
    settle(0.2)


def settle(seconds: float) -> None:
    """Let the application draw for so many seconds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


class Walk:
    """The loop, step by step, with the panel's own buttons.

    Parameters
    ----------
    viewer, panel
        With the sample open and its project started.
    out : Path
        Where screenshots and labels go.
    seconds : float
        Training time of each round.
    """

    def __init__(self, viewer: napari.Viewer, panel: LoopPanel, out: Path, seconds: float) -> None:
        from .app.readers import labels_layer
        from .sample import load

        self.viewer, self.panel, self.out, self.seconds = viewer, panel, out, seconds
        assert panel.session is not None
        self.session = panel.session
        _, truth = load()
        self.truth: npt.NDArray[np.uint8] = np.asarray(labels_layer(truth)[0])
        self._number = 0

    def go(self) -> dict[str, Any]:
        """Walk through the loop and print what was measured."""
        session, panel = self.session, self.panel
        references = session.references
        session.go_to(references.references()[1])
        self.shot("sample-with-references")

        extra = self._label_one()
        self.shot("labelled-another-slice")
        unseen = [z for z in range(len(self.truth)) if z not in references.references()]

        self._train()
        session.go_to(unseen[len(unseen) // 2])
        settle(0.5)
        before = self.dice(unseen)
        self.shot("proposal-coloured-by-trust")

        panel.review.next.click()
        settle(0.5)
        chosen = references.current_slice()
        self.shot("next-slice-suggested")
        changed = self._correct(chosen)
        settle(0.5)
        self.shot("corrected")
        corrected = self.dice(unseen)
        panel.review.accept.click()
        settle(0.6)
        accepted = references.slice_ink(chosen).copy()
        self.shot("accepted")

        self._train()
        settle(0.5)
        after = self.dice(unseen)
        self.shot("retrained")

        target = self.out / _LABELS
        panel.export.open()
        exported_to: list[str] = []
        panel.export.exported.connect(exported_to.append)
        panel.export.export_to(target)
        wait_for(lambda: bool(exported_to), 60, "the exported file")
        self.shot("exported")
        exported = np.moveaxis(self._read_back(target), session.project.axis, 0)[chosen]
        kept = bool(np.array_equal(exported, accepted))

        results = {
            "labelled_by_hand": extra,
            "corrected_slice": chosen,
            "corrected_voxels": changed,
            "dice_before_correction": before,
            "dice_with_correction": corrected,
            "dice_after_retraining": after,
            "accepted_slice_identical_in_export": kept,
            "project": str(session.project.path),
            "labels": str(target),
        }
        self._report(results)
        return results

    def dice(self, slices: list[int]) -> dict[str, float]:
        """Dice, to four digits, of what would be exported, by class name, over some slices."""
        proposed = np.moveaxis(self.session.final_labels(), self.session.project.axis, 0)[slices]
        truth = np.moveaxis(self.truth, self.session.project.axis, 0)[slices]
        scores = {}
        for item in self.session.classes:
            p, t = proposed == item.id, truth == item.id
            scores[item.name] = round(2 * float((p & t).sum()) / max(int(p.sum() + t.sum()), 1), 4)
        return scores

    def shot(self, name: str) -> None:
        """Take a picture of the window, ``N-name.png`` in the folder of the walk."""
        settle(0.3)
        self._number += 1
        path = self.out / f"{self._number}-{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(f"picture  {path}")

    def _label_one(self) -> int:
        """Paint another slice, as an expert would have, and mark it."""
        references = self.session.references
        known = references.references()
        index = (known[0] + known[1]) // 2
        self.session.go_to(index)
        truth = self._slice(index)
        for item in self.session.classes:
            self.session.choose_class(item.id)
            self._paint(references.layer, index, truth == item.id, item.id)
        self.panel.references.mark.click()
        settle(0.3)
        return int(index)

    def _correct(self, index: int) -> int:
        """Paint over what is wrong in the shown proposal, in one slice."""
        layer = self.session.proposals[self.session.active].layer
        truth = self._slice(index)
        shown = np.moveaxis(layer.data, self.session.project.axis, 0)[index]
        wrong = shown != truth
        for value in np.unique(truth[wrong]):
            self._paint(layer, index, wrong & (truth == value), int(value))
        return int(wrong.sum())

    def _paint(self, layer: Any, index: int, where: npt.NDArray[np.bool_], value: int) -> None:
        points = list(np.nonzero(where))
        if points[0].size:
            points.insert(self.session.project.axis, np.full_like(points[0], index))
            layer.data_setitem(tuple(points), value)

    def _slice(self, index: int) -> npt.NDArray[np.uint8]:
        found: npt.NDArray[np.uint8] = np.moveaxis(self.truth, self.session.project.axis, 0)[index]
        return found

    def _train(self) -> None:
        panel = self.panel
        if self.seconds not in panel.train.budget.choices:
            panel.train.budget.choices = [(f"{self.seconds:g} seconds", self.seconds)]
        panel.train.budget.value = self.seconds
        first = not self.session.proposals
        panel.train.train.click()
        wait_for(lambda: self.session.training.asked_for, 10, "the start of training")
        begin = time.monotonic()
        wait_for(lambda: bool(self.session.proposals), 120, "the first proposal")
        if first:
            print(f"proposal {time.monotonic() - begin:.1f} s after Train was pressed")
        if self._number < 3:
            wait_for(lambda: len(panel.train.chart.losses) > 8 or not self._busy(), 120, "losses")
            self.shot("training")
        wait_for(lambda: not self._busy(), 10 * self.seconds + 120, "the end of training")
        settle(1.0)

    def _busy(self) -> bool:
        return self.session.training.asked_for

    def _read_back(self, path: Path) -> npt.NDArray[np.uint8]:
        from .app.readers import labels_layer
        from .formats import read_labels

        return np.asarray(labels_layer(read_labels(path))[0])

    def _report(self, results: dict[str, Any]) -> None:
        def line(scores: dict[str, float]) -> str:
            return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())

        print(f"pictures and labels are in {self.out}")
        print(f"project  {results['project']}")
        print(f"labels   {results['labels']}")
        print("Dice on the slices that were not labelled before training:")
        print(f"  before the correction        {line(results['dice_before_correction'])}")
        print(f"  slice {results['corrected_slice']} corrected           ", end="")
        print(f"{line(results['dice_with_correction'])}")
        print(f"  after accepting, retraining  {line(results['dice_after_retraining'])}")


if __name__ == "__main__":
    sys.exit(main())
