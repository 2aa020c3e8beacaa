"""Measure how good a proposal is for a volume in which nothing is labelled.

    python benchmarks/other_volumes.py FOLDER --axis A [--taught 3] [--k 4] [--count 8]
                                       [--seconds 30] [--seed 0] [--device cpu]

FOLDER holds ``X.nii.gz`` with ``X_gt.nii.gz``. Of some volumes K slices are labelled, equally
spaced from the first to the last labelled one along axis A; one network learns from them, as in
*Propose for the others*, and proposes for COUNT further volumes. Printed is their Dice, mean over
the classes, and how often the regions are wrong; one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from napari_sslseg.training.control import Control
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.shared import SharedNetwork
from napari_sslseg.training.threads import calm_threads
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project
from napari_sslseg.volume.proposal import REGION_NAMES


def read_pair(image: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8], ImageInfo]:
    """Return the voxels of an image, its labels, and what a project wants to know of it."""
    shown = nib.load(image)
    labels = nib.load(str(image).replace(".nii.gz", "_gt.nii.gz"))
    truth = np.asarray(labels.dataobj).astype(np.uint8)  # type: ignore[attr-defined]
    array = np.asarray(shown.dataobj)  # type: ignore[attr-defined]
    spacing = tuple(float(s) for s in shown.header.get_zooms()[:3])  # type: ignore[attr-defined]
    return array, truth, ImageInfo(image.name.removesuffix(".nii.gz"), array.shape, spacing)


def label_slices(project: Project, truth: npt.NDArray[np.uint8], k: int | None) -> None:
    """Label k slices, equally spaced over the object (its middle), or all of the volume if None."""
    ink = project.ink_store.load()
    stack, slices = (np.moveaxis(a, project.axis, 0) for a in (truth, ink))
    chosen = np.arange(len(stack))
    if k is not None:
        filled = np.flatnonzero(stack.any(axis=(1, 2)))
        ends = (filled[0], filled[-1]) if k > 1 else (np.mean(filled), np.mean(filled))
        chosen = np.linspace(*ends, k).round().astype(int)
    slices[chosen] = stack[chosen]
    project.ink_store.save(ink)


def make_project(
    folder: Path, image: Path, axis: int, k: int
) -> tuple[Project, npt.NDArray[np.uint8]]:
    """Make a project with k labelled slices, or none; also return the truth."""
    array, truth, info = read_pair(image)
    project = Project.create(folder, array, info, ClassTable.from_ids(np.unique(truth)), axis)
    if k:
        label_slices(project, truth, k)
    return project, truth


def mean_dice(found: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Mean Dice over the classes of the truth."""
    classes = [c for c in np.unique(truth) if c]
    both = [2 * np.count_nonzero((found == c) & (truth == c)) for c in classes]
    sums = [np.count_nonzero(found == c) + np.count_nonzero(truth == c) for c in classes]
    return float(np.mean([b / s for b, s in zip(both, sums, strict=True)]))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--axis", type=int, required=True)
    parser.add_argument("--taught", type=int, default=3)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    calm_threads()
    images = sorted(
        Path(str(p).replace("_gt.nii.gz", ".nii.gz")) for p in options.folder.glob("*_gt.nii.gz")
    )
    random.Random(options.seed).shuffle(images)
    scores, wrong, counts = [], np.zeros(5), np.zeros(5)
    with tempfile.TemporaryDirectory() as folder:

        def project(number: int, k: int) -> tuple[Project, npt.NDArray[np.uint8]]:
            return make_project(Path(folder) / str(number), images[number], options.axis, k)

        taught = [project(i, options.k)[0] for i in range(options.taught)]
        request = TrainRequest(seconds=options.seconds, device=options.device, seed=options.seed)
        network = SharedNetwork(taught, request, lambda event: None, Control())
        network.train(None, lambda share: None)
        for number in range(options.taught, options.taught + options.count):
            bare, truth = project(number, 0)
            proposal = network.propose(bare, {})
            scores.append(mean_dice(proposal.classes, truth))
            regions = proposal.regions.ravel()
            counts += np.bincount(regions, minlength=5)
            wrong += np.bincount(regions[(proposal.classes != truth).ravel()], minlength=5)
    rates = {n: round(wrong[c] / counts[c], 4) for c, n in REGION_NAMES.items() if counts[c]}
    rates["none"] = round(wrong[0] / max(counts[0], 1), 4)
    told = {"dice": round(float(np.mean(scores)), 4), "each": [round(s, 3) for s in scores]}
    print(json.dumps({**told, "wrong": rates, "steps": network.steps}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
