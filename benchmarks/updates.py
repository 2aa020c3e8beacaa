"""How soon, and how much better, the other slices are proposed once a slice is accepted.

    python benchmarks/updates.py CASES [--only TEXT]... [--seconds N] [--rounds N]

Each case (see ``few_slice.py``) is trained on for a while. Then, round after round, the slice that
is suggested next is made right and accepted, and the proposals are updated as the application does
by itself: without training. Beside it the same is done with nothing taken over of the last run. In
the end the network is trained on, as by *Retrain*. Dice is the mean over the classes, of the
recommended proposal, on all slices that are open after a round.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from few_slice import Case

from napari_sslseg.acquisition import registry
from napari_sslseg.acquisition.content import look_at, scaled
from napari_sslseg.acquisition.evidence import evidence_of, object_areas
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Event, Finished, ProposalReady
from napari_sslseg.training.plan import choose_device
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.threads import calm_threads
from napari_sslseg.training.tune import warm_up
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project
from napari_sslseg.volume.proposal import Proposal


class Loop:
    """A project of a case, and who labels it."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.touched = case, list(case.reference_slices)
        self._ink = case.ink.copy()
        info = ImageInfo(case.name, case.image.shape, case.spacing)
        self._project = Project.create(
            folder / "p", case.image, info, ClassTable.from_ids(case.classes), 0
        )
        self._project.ink_store.save(self._ink)
        self._strategy = registry.create("error-reduction")
        self._content = look_at(case.image, 0, (None, None))
        self._recommended = ""

    def run(self, request: TrainRequest) -> dict[str, float]:
        """Run the trainer; seconds until each proposal was there for the last time."""
        start = time.perf_counter()
        shown: dict[str, float] = {}

        def emit(event: Event) -> None:
            if isinstance(event, ProposalReady):
                shown.setdefault(event.slug, 0.0)
                shown[event.slug] = time.perf_counter() - start
            elif isinstance(event, Finished) and not request.update:
                self._recommended = event.recommended

        run_project(self._project.path, request, emit, Control())
        return shown | {"all": time.perf_counter() - start}

    def update(self, seconds: float) -> dict[str, float]:
        """Propose without training, as `run`."""
        return self.run(TrainRequest("auto", seconds, update=True))

    def update_anew(self, seconds: float) -> dict[str, float]:
        """Propose without training and without what was kept, which is there again afterwards."""
        kept, aside = self._project.kept, self._project.path / "aside"
        if kept.exists():
            kept.rename(aside)
        shown = self.update(seconds)
        if aside.exists():
            shutil.rmtree(kept, ignore_errors=True)
            aside.rename(kept)
        return shown

    def proposal(self) -> Proposal:
        """Return what is recommended, as it is now."""
        return self._project.read_proposal(self._recommended)

    def accept(self) -> None:
        """Make the suggested slice right, and a reference."""
        proposal = self.proposal()
        sizes = scaled(object_areas(proposal.classes, 0)[:, None].astype(float))
        descriptors = np.concatenate([self._content.descriptors, sizes], axis=1)
        extent = (None, None)
        evidence = evidence_of(proposal, 0, self.touched, descriptors=descriptors, extent=extent)
        index = self._strategy.rank(evidence)[0].index
        self.touched.append(index)
        self._ink[index] = self.case.truth[index]
        self._project.ink_store.save(self._ink)

    def dice(self) -> float:
        """Mean Dice over the classes on the slices that are open."""
        rest = np.setdiff1d(np.arange(len(self.case.truth)), self.touched)
        found, truth = self.proposal().classes[rest], self.case.truth[rest]
        scores = []
        for value in self.case.classes:
            one, two = found == value, truth == value
            scores.append(2 * int((one & two).sum()) / max(1, int(one.sum()) + int(two.sum())))
        return float(np.mean(scores))


def measure(case: Case, seconds: float, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Train, then accept and update, then train on; a row for each round."""
    loop, rows = Loop(case, folder), []
    loop.run(TrainRequest("auto", seconds))
    for number in range(rounds):
        loop.accept()
        before = loop.dice()
        shown, after = loop.update(seconds), loop.dice()
        anew, after_anew = loop.update_anew(seconds), loop.dice()
        loop.update(seconds)  # what was proposed before is there again
        row = {"case": case.name, "round": number + 1, "slice": loop.touched[-1]}
        row |= {"before": before, "after": after, "seconds": shown}
        rows.append(row | {"after anew": after_anew, "seconds anew": anew})
    loop.run(TrainRequest("auto", seconds))
    rows[-1]["retrained"] = loop.dice()
    return rows


def _spoken(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {at:.1f} s" for name, at in seconds.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    calm_threads()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path, help="folder of case folders")
    parser.add_argument("--only", action="append", help="cases whose name holds this; repeatable")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each training")
    parser.add_argument("--rounds", type=int, default=3, help="slices that are accepted")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    options = parser.parse_args(arguments)
    wanted = options.only or [""]
    folders = [p.parent for p in sorted(options.cases.glob("*/case.json"))]
    folders = [f for f in folders if any(text in f.name for text in wanted)]
    if not folders:
        parser.error(f"no such case folders in {options.cases}")
    warm_up(choose_device("auto"))
    every: list[dict[str, Any]] = []
    for folder in folders:
        with tempfile.TemporaryDirectory() as scratch:
            rows = measure(Case.read(folder), options.seconds, options.rounds, Path(scratch))
        for row in rows:
            then = f"; trained on {row['retrained']:.4f}" if "retrained" in row else ""
            print(
                f"{row['case']:30} slice {row['slice']:3}: Dice {row['before']:.4f} -> "
                f"{row['after']:.4f} (anew {row['after anew']:.4f}){then}; "
                f"{_spoken(row['seconds'])} (anew {_spoken(row['seconds anew'])})",
                flush=True,
            )
        every += rows
    if options.json is not None:
        options.json.write_text(json.dumps(every, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
