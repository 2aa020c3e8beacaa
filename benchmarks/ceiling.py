"""What limits a segmentation from a few slices: structures that no reference shows.

    python benchmarks/ceiling.py CASES [--only TEXT] [--reach PIXELS]

A branch that begins and ends between two references is in neither of them. For each case this
scores the Reference-guided proposal as it is, and as it would be if an oracle had labelled just the
voxels of such structures: those farther than REACH pixels, in the slice, from the object in both
neighbouring references, carried to this slice as they are or as the matching carried them. Nothing
that only follows references can be better than that without knowing more than they show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import scoring
from few_slice import Case, reference
from scipy import ndimage


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--reach", type=float, default=5.0)
    options = parser.parse_args(arguments)
    print(f"{'case':34}{'Dice':>8}{'unseen':>8}{'of missed':>11}{'oracle':>8}")
    for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
        if options.only not in folder.name:
            continue
        case = Case.read(folder)
        labels = reference(case, 0.0).labels
        rows = scoring.slices_between(case.reference_slices)
        far = unseen(case, labels, options.reach)
        missed = (labels != case.truth) & (case.truth > 0)
        repaired = np.where(far, case.truth, labels)
        print(
            f"{case.name:34}{scoring.mean_dice(labels, case.truth, rows, case.classes):8.3f}"
            f"{far[rows].sum() / max((case.truth[rows] > 0).sum(), 1):8.1%}"
            f"{far[rows].sum() / max(missed[rows].sum(), 1):11.1%}"
            f"{scoring.mean_dice(repaired, case.truth, rows, case.classes):8.3f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
