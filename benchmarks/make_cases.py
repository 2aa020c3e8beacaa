"""Make few-slice cases from labelled volumes.

    python benchmarks/make_cases.py FOLDER OUT --axis A [--count N] [--k K]... [--seed S]
                                    [--exclude CASES]

FOLDER holds ``X.nii.gz`` with ``X_gt.nii.gz``. N volumes are drawn; each becomes one case, with the
next of the given K as its number of references, equally spaced from the first to the last labelled
slice along axis A. Volumes that EXCLUDE, another folder of cases, was made from are left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np


def make_case(image: Path, truth: Path, out: Path, axis: int, k: int, dataset: str) -> None:
    """Write one case folder."""
    labels = nib.load(truth)
    stack = np.moveaxis(np.asarray(labels.dataobj), axis, 0)  # type: ignore[attr-defined]
    shown = np.flatnonzero(stack.any(axis=(1, 2)))
    references = sorted({int(z) for z in np.linspace(shown[0], shown[-1], k).round()})
    ink = np.full(stack.shape, 255, np.uint8)
    ink[references] = stack[references]
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(image, out / "image.nii.gz")
    shutil.copy(truth, out / "gt.nii.gz")
    affine = labels.affine  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(np.moveaxis(ink, 0, axis), affine), out / "refs.nii.gz")
    about = {
        "dataset": dataset,
        "axis": axis,
        "reference_slices": references,
        "classes": [int(c) for c in np.unique(stack) if c],
        "spacing": [float(s) for s in labels.header.get_zooms()[:3]],  # type: ignore[attr-defined]
    }
    (out / "case.json").write_text(json.dumps(about))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--axis", type=int, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exclude", type=Path)
    options = parser.parse_args(arguments)
    used = set()
    if options.exclude is not None:
        used = {p.parent.name.rsplit("_K", 1)[0] for p in options.exclude.glob("*/case.json")}
    names = sorted(p.name.removesuffix("_gt.nii.gz") for p in options.folder.glob("*_gt.nii.gz"))
    names = [n for n in names if n not in used]
    random.Random(options.seed).shuffle(names)
    for name, k in zip(names[: options.count], itertools.cycle(options.k or [5]), strict=False):
        make_case(
            options.folder / f"{name}.nii.gz",
            options.folder / f"{name}_gt.nii.gz",
            options.out / f"{name}_K{k}",
            options.axis,
            k,
            options.folder.parent.name if options.folder.name == "train" else options.folder.name,
        )
        print(f"{name}_K{k}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
