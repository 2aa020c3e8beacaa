"""What ink beside whole reference slices does: a slice inked across the others, and a stroke.

    python benchmarks/partial_ink.py CASES [--only TEXT]

To the references of each case comes either one slice of another axis, labelled as the truth is,
through the middle of the object, or a stroke of 3 x 3 pixels in the object, midway between two
references. Both should help, or at least not harm. Dice is that of the Reference-guided proposal on
the slices between the outermost references, without the voxels that were added.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import scoring
from few_slice import Case, reference

from napari_sslseg.volume.annotation import NOT_ANNOTATED


def with_slice_across(case: Case) -> Case:
    """Ink the plane across the slices that shows most of the object."""
    ink = case.ink.copy()
    row = int((case.truth > 0).sum((0, 2)).argmax())
    ink[:, row] = case.truth[:, row]
    return replace(case, ink=ink)


def with_stroke(case: Case) -> Case:
    """Ink 3 x 3 pixels of one class in the slice farthest from all references."""
    ink, references = case.ink.copy(), np.array(case.reference_slices)
    between = scoring.slices_between(case.reference_slices)
    shown = [z for z in between if (case.truth[z] > 0).any()]
    z = max(shown, key=lambda s: int(abs(references - s).min()))
    value = int(np.bincount(case.truth[z][case.truth[z] > 0]).argmax())
    inside = np.argwhere(case.truth[z] == value)
    y, x = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
    patch = np.s_[z, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    ink[patch] = case.truth[patch]
    return replace(case, ink=ink)


def score(case: Case, ink: np.ndarray) -> float:
    """Dice of a case, scored where neither it nor another ink is annotated."""
    labels = reference(case, 0.0, "cpu").labels
    added = (ink != NOT_ANNOTATED) & (case.truth >= 0)
    rows = scoring.slices_between(case.reference_slices)
    # Voxels that were added count as background in both, so that they are not scored.
    predicted, truth = np.where(added, 0, labels), np.where(added, 0, case.truth)
    return scoring.mean_dice(predicted, truth, rows, case.classes)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args(arguments)
    print(f"{'case':34}{'plain':>8}{'across':>8}{'plain':>8}{'stroke':>8}")
    changes = []
    for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
        if options.only not in folder.name:
            continue
        case = Case.read(folder)
        across, stroke = with_slice_across(case), with_stroke(case)
        found = [
            score(case, across.ink),
            score(across, across.ink),
            score(case, stroke.ink),
            score(stroke, stroke.ink),
        ]
        changes.append((found[1] - found[0], found[3] - found[2]))
        print(f"{case.name:34}" + "".join(f"{value:8.3f}" for value in found), flush=True)
    if changes:
        means, least = np.mean(changes, 0), np.min(changes, 0)
        print(f"change by the slice across {means[0]:+.3f} (least {least[0]:+.3f}), ", end="")
        print(f"by the stroke {means[1]:+.3f} (least {least[1]:+.3f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
