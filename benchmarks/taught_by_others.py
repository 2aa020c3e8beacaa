"""Measure what the finished volumes of a project do for one with a few reference slices.

    python benchmarks/taught_by_others.py FOLDER --axis A [--k 3] [--taught 0 3] [--slices 0]
                                          [--before 0] [--count 4] [--seconds 60] [--seed 0]
                                          [--device cpu]

FOLDER holds ``X.nii.gz`` with ``X_gt.nii.gz``. COUNT volumes are proposed for in turn, each with K
labelled slices, equally spaced from the first to the last labelled one along axis A (1: the middle
one, 0: by *Propose for the others*), in projects with as many other volumes as TAUGHT says, the
same ones for all. Of those SLICES equally spaced slices are labelled, all of them if 0. With BEFORE
the last of them was trained on for so many seconds when it had five references, so that there is a
model to go on with. K may be several numbers. Printed is, for each of them and each number of
others, the Dice (mean of the classes) of the recommended proposal over the slices that are not
labelled, and between the outermost references alone; its estimate, whether the others taught to the
end or were dismissed, how sure the voxels near the object are and how often wrong; at the end the
means and paired differences to the first number of others. One line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from other_volumes import label_slices, make_project, mean_dice, read_pair

from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Estimated, Event, Finished, Planned
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.shared import SharedNetwork
from napari_sslseg.training.threads import calm_threads
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import Project
from napari_sslseg.volume.proposal import REGION_NAMES, Proposal, object_neighbourhood


def propose(project: Project, options: argparse.Namespace) -> tuple[Proposal, float | None, bool]:
    """Train; return the recommended proposal, its estimate, whether others taught to the end."""
    estimates: dict[str, float] = {}
    best, taught = "", False

    def follow(event: Event) -> None:
        nonlocal best, taught
        if isinstance(event, Planned):
            taught = event.others.teach
        elif isinstance(event, Estimated):
            estimates[event.slug] = event.mean
        elif isinstance(event, Finished):
            best = event.recommended

    run_project(project.path, request(options), follow, Control())
    proposal = project.proposals.read(best)
    assert proposal is not None
    return proposal, estimates.get(best), taught


def request(options: argparse.Namespace) -> TrainRequest:
    """Return what is asked of the trainer."""
    return TrainRequest(seconds=options.seconds, device=options.device, seed=options.seed)


def score(
    proposal: Proposal, truth: npt.NDArray[np.uint8], ink: npt.NDArray[np.uint8], axis: int
) -> dict[str, Any]:
    """Score the slices without ink."""
    cut = [np.moveaxis(a, axis, 0) for a in (proposal.classes, truth, ink)]
    whole = (cut[2] != 255).all(axis=(1, 2))
    references, rest = np.flatnonzero(whole), np.flatnonzero(~whole)
    regions = np.moveaxis(proposal.regions, axis, 0)
    sure = np.moveaxis(proposal.confidence, axis, 0) / 255
    near = object_neighbourhood(cut[0]) | object_neighbourhood(cut[1])
    near[references] = False
    wrong = cut[0] != cut[1]
    told: dict[str, Any] = {"dice": mean_dice(cut[0][rest], cut[1][rest])}
    if len(references) > 1:
        between = rest[(rest > references[0]) & (rest < references[-1])]
        told["between"] = mean_dice(cut[0][between], cut[1][between])
    for code, name in REGION_NAMES.items():
        there = near & (regions == code)
        told[name] = [there.sum() / near.sum(), wrong[there].mean() if there.any() else None]
    bins = np.clip((sure[near] * 10).astype(int), 0, 9)
    right = ~wrong[near]
    gaps = [
        abs(sure[near][bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    told["calibration_error"] = float(np.sum(gaps))
    return told


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--axis", type=int, required=True)
    parser.add_argument("--k", type=int, nargs="+", default=[3])
    parser.add_argument("--taught", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--slices", type=int, default=0)
    parser.add_argument("--before", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    calm_threads()
    images = sorted(
        Path(str(p).replace("_gt.nii.gz", ".nii.gz")) for p in options.folder.glob("*_gt.nii.gz")
    )
    random.Random(options.seed).shuffle(images)
    own, rest = images[: options.count], images[options.count :]
    for k in options.k:
        found: dict[int, list[dict[str, Any]]] = {number: [] for number in options.taught}
        for image in own:
            for number in options.taught:
                row = measure(image, rest[:number], k, options)
                found[number].append(row)
                print(json.dumps(_rounded({"k": k, "others": number, **row})), flush=True)
        for number, rows in found.items():
            told: dict[str, Any] = {"k": k, "others": number}
            for what in ("dice", "between"):
                if all(what in row for row in rows):
                    scores = np.array([row[what] for row in rows])
                    differences = scores - [row[what] for row in found[options.taught[0]]]
                    error = differences.std(ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else 0.0
                    told[what] = {"mean": scores.mean(), "sd": scores.std()}
                    told[what] |= {"gain": differences.mean(), "error": error}
            print(json.dumps(_rounded(told)), flush=True)
    return 0


def measure(image: Path, others: list[Path], k: int, options: argparse.Namespace) -> dict[str, Any]:
    """Propose for one volume in a project with some others, and score that."""
    with tempfile.TemporaryDirectory() as folder:
        project, truth = make_project(Path(folder) / "own", image, options.axis, k)
        cohort, teachers = Cohort(project.path), []
        for i, other in enumerate(others):
            array, labels, info = read_pair(other)
            teachers.append(cohort.add(array, info, options.axis))
            if options.before and i == len(others) - 1:
                label_slices(teachers[-1], labels, 5)
                earlier = TrainRequest(
                    seconds=options.before, device=options.device, seed=options.seed
                )
                run_project(teachers[-1].path, earlier, lambda event: None, Control())
            label_slices(teachers[-1], labels, options.slices or None)
        row: dict[str, Any] = {"volume": project.info.name}
        if k:
            proposal, estimate, taught = propose(project, options)
            row |= {"proposal": proposal.slug, "taught": taught, "estimate": estimate}
        else:
            network = SharedNetwork(teachers, request(options), lambda event: None, Control())
            network.train(None, lambda share: None)
            proposal = network.propose(project, {})
        return row | score(proposal, truth, project.all_ink(), options.axis)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return round(float(value), 4) if isinstance(value, float | np.floating) else value


if __name__ == "__main__":
    raise SystemExit(main())
