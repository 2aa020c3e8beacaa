"""What ink beside whole reference slices does, or instead of them.

    python benchmarks/partial_ink.py CASES [--only TEXT] [--strokes]

To the references of each case comes either one slice of another axis, labelled as the truth is,
through the middle of the object, or a stroke of 3 x 3 pixels in the object, midway between two
references. Both should help, or at least not harm. Dice is that of the Reference-guided proposal on
the slices between the outermost references, without the voxels that were added.

With `--strokes` the references are not whole: of each that shows an object, one row and one column
through it are labelled. To these come 3 x 3 pixels of an object midway between two references, or
background beside it, or the nearest slices without any object, as whole ones. None should harm.
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


def only_strokes(case: Case) -> Case:
    """Ink a row and a column through the objects of each reference that shows any."""
    ink = np.full_like(case.ink, NOT_ANNOTATED)
    for z in case.reference_slices:
        inside = np.argwhere(case.truth[z] > 0)
        if len(inside):
            y, x = inside.mean(0).round().astype(int)
            ink[z, y], ink[z, :, x] = case.truth[z, y], case.truth[z, :, x]
    return replace(case, ink=ink)


def with_background(case: Case) -> Case:
    """Ink pixels of background above the object, where `with_stroke` inks the object."""
    ink = case.ink.copy()
    z = int(np.argwhere(with_stroke(case).ink != case.ink)[0][0])
    inside = np.argwhere(case.truth[z] > 0)
    top = max(0, int(inside[:, 0].min()) - 6)
    patch = np.s_[z, top : top + 3, int(inside[:, 1].min()) : int(inside[:, 1].max())]
    ink[patch] = np.where(case.truth[patch] == 0, 0, ink[patch])
    return replace(case, ink=ink)


def with_empty_slices(case: Case) -> Case:
    """Ink the nearest slices beyond the object, if there are any, as background."""
    ink = case.ink.copy()
    shown = np.flatnonzero((case.truth > 0).any((1, 2)))
    for z in (shown[0] - 1, shown[-1] + 1):
        if 0 <= z < len(ink):
            ink[z] = 0
    return replace(case, ink=ink)


def score(case: Case, ink: np.ndarray) -> float:
    """Dice of a case, scored where neither it nor another ink is annotated."""
    labels = reference(case, 0.0, "cpu").labels
    added = (ink != NOT_ANNOTATED) & (case.truth >= 0)
    rows = scoring.slices_between(case.reference_slices)
    # Voxels that were added count as background in both, so that they are not scored.
    predicted, truth = np.where(added, 0, labels), np.where(added, 0, case.truth)
    return scoring.mean_dice(predicted, truth, rows, case.classes)


def whole_references(case: Case) -> list[float]:
    """Return Dice without and with a slice across, then without and with a stroke."""
    pairs = [(case, added) for added in (with_slice_across(case), with_stroke(case))]
    return [score(which, added.ink) for plain, added in pairs for which in (plain, added)]


def strokes_alone(case: Case) -> list[float]:
    """Return Dice with strokes alone, then with each of what is added to them."""
    strokes = only_strokes(case)
    more = [f(strokes) for f in (with_stroke, with_background, with_empty_slices)]
    everything = np.where(more[0].ink != NOT_ANNOTATED, more[0].ink, more[1].ink)
    return [score(which, everything) for which in (strokes, *more)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--strokes", action="store_true", help="strokes instead of references")
    options = parser.parse_args(arguments)
    heads = ("plain", "across", "plain", "stroke")
    measure, before = whole_references, (0, 0, 2, 2)
    if options.strokes:
        heads = ("strokes", "object", "backgr.", "empty")
        measure, before = strokes_alone, (0, 0, 0, 0)
    print(f"{'case':34}" + "".join(f"{head:>8}" for head in heads))
    rows = []
    for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
        if options.only in folder.name:
            case = Case.read(folder)
            rows.append(measure(case))
            print(f"{case.name:34}" + "".join(f"{value:8.3f}" for value in rows[-1]), flush=True)
    if rows:
        found = np.array(rows)
        changes = found - found[:, before]
        for what, values in (
            ("mean", found.mean(0)),
            ("mean change", changes.mean(0)),
            ("least change", changes.min(0)),
        ):
            print(f"{what:34}" + "".join(f"{value:8.3f}" for value in values))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
