"""What limits a segmentation from a few slices: structures that no reference shows, and borders.

    python benchmarks/ceiling.py CASES [--only TEXT] [--reach PIXELS] [--pictures FOLDER]

A branch that begins and ends between two references is in neither of them. For each case this
scores the Reference-guided proposal as it is, and as it would be if an oracle had labelled just the
voxels of such structures: those farther than REACH pixels, in the slice, from the object in both
neighbouring references, carried to this slice as they are or as the matching carried them. Nothing
that only follows references can be better than that without knowing more than they show.

The other limit is where exactly a border is drawn: *border* is the share of the wrong voxels that
touch, in the slice, a voxel of the class that they were given, *inner* the Dice if only these were
right. *dense* is the Dice with every second slice as a reference: what the annotator drew on both
sides does not tell more than that of the slice between. *Pictures* are written of the worst
slices, see ``ceiling_pictures.py``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import scoring
from ceiling_pictures import save_worst
from few_slice import Case, reference
from scipy import ndimage

from napari_sslseg.volume.annotation import NOT_ANNOTATED


def unseen(case: Case, labels: np.ndarray, reach: float) -> np.ndarray:
    """Voxels (Z, H, W) of the true object that lie far from everything that is known."""
    references = case.reference_slices
    result = np.zeros(labels.shape, bool)
    for z in scoring.slices_between(references):
        known = labels[z] > 0
        for neighbour in (max(r for r in references if r < z), min(r for r in references if r > z)):
            known = known | (case.truth[neighbour] > 0)
        away = ndimage.distance_transform_edt(~known) if known.any() else np.inf
        result[z] = (case.truth[z] > 0) & (away > reach)
    return result


def touching(case: Case, labels: np.ndarray) -> np.ndarray:
    """Wrong voxels (Z, H, W) that have, in the slice, a neighbour of the class they were given."""
    result = np.zeros(labels.shape, bool)
    for value in (0, *case.classes):
        beside = np.stack([ndimage.binary_dilation(t == value) for t in case.truth])
        result |= (labels == value) & (case.truth != value) & beside
    return result


def dense(case: Case) -> float:
    """Dice on the slices between when every second slice is a reference."""
    first, last = case.reference_slices[0], case.reference_slices[-1]
    references = sorted({*range(first, last + 1, 2), last})
    ink = np.full_like(case.ink, NOT_ANNOTATED)
    ink[references] = case.truth[references]
    labels = reference(replace(case, ink=ink), 0.0, "cpu").labels
    return scoring.mean_dice(labels, case.truth, scoring.slices_between(references), case.classes)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--reach", type=float, default=5.0)
    parser.add_argument("--pictures", type=Path, help="folder to write the worst slices to")
    options = parser.parse_args(arguments)
    titles = "    Dice  unseen  of missed  oracle  border   inner   dense"
    print(f"{'case':34}{titles}")
    for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
        if options.only not in folder.name:
            continue
        case = Case.read(folder)
        labels = reference(case, 0.0, "cpu").labels
        rows = scoring.slices_between(case.reference_slices)
        far = unseen(case, labels, options.reach)
        missed = (labels != case.truth) & (case.truth > 0)
        repaired = np.where(far, case.truth, labels)
        wrong, near = labels != case.truth, touching(case, labels)
        exact = np.where(near, case.truth, labels)
        print(
            f"{case.name:34}{scoring.mean_dice(labels, case.truth, rows, case.classes):8.3f}"
            f"{far[rows].sum() / max((case.truth[rows] > 0).sum(), 1):8.1%}"
            f"{far[rows].sum() / max(missed[rows].sum(), 1):11.1%}"
            f"{scoring.mean_dice(repaired, case.truth, rows, case.classes):8.3f}"
            f"{near[rows].sum() / max(wrong[rows].sum(), 1):8.1%}"
            f"{scoring.mean_dice(exact, case.truth, rows, case.classes):8.3f}"
            f"{dense(case):8.3f}",
            flush=True,
        )
        if options.pictures is not None:
            path = options.pictures / f"{case.name}.png"
            save_worst(case, labels, rows, far & wrong, near, path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
