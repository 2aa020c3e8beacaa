"""Make volumes of other organs and of cells, with truth, from what comes with other packages.

    pip download --no-deps --no-binary :all: totalsegmentator==2.18.0 stardist==0.9.2
    (unpack both into FOLDER)
    python benchmarks/organ_truth.py FOLDER OUT

Writes ``X.nii.gz`` and ``X_gt.nii.gz`` into ``OUT/axis0`` and ``OUT/axis2``, by the axis that
``make_cases.py`` is to cut them along. The truth of CT and MR is the segmentation that
TotalSegmentator's own tests expect, so of a network; that of the nuclei was drawn by people.
``ct512_organs`` is the same CT on pixels of a scanner's size, with outlines smoothed and noise of
25 HU, as slices of 512 x 424.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import tifffile
from scipy import ndimage

#: Ids of TotalSegmentator (CT), by the classes that are made of them.
CT: dict[str, tuple[int | tuple[int, ...], ...]] = {
    "ct_liver": (5,),
    "ct_organs": (1, 2, 3, 5, 6, 20),
    "ct_kidneys": ((2, 3),),
    "ct_muscles": (86, 87),
    "ct_vessels": (52, 63, 64),
}
MR: dict[str, tuple[int | tuple[int, ...], ...]] = {"mr_organs": (1, 2, 3, 5, 6, 15)}

#: Times finer than the CT is.
FINER = 4.2


def load(path: Path) -> Any:
    """Return the voxels of a file."""
    return np.asarray(nib.load(path).dataobj)  # type: ignore[attr-defined]


def picked(ids: np.ndarray, classes: Sequence[int | tuple[int, ...]]) -> np.ndarray:
    """Return classes from 1 on, uint8, each of one or several ids."""
    found = np.zeros(ids.shape, np.uint8)
    for number, wanted in enumerate(classes, 1):
        found[np.isin(ids, wanted)] = number
    return found


def finer(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slices (H, W, Z) as a scanner would give them, and smooth outlines in them."""
    depth = range(image.shape[-1])
    slices = [ndimage.zoom(image[..., z].astype(np.float32), FINER, order=1) for z in depth]
    rough = [ndimage.zoom(labels[..., z], FINER, order=0) for z in depth]
    smooth = []
    for slice_ in rough:
        found = np.zeros_like(slice_)
        for value in np.unique(labels)[1:]:
            found[ndimage.gaussian_filter((slice_ == value).astype(np.float32), 3) > 0.5] = value
        smooth.append(found)
    noise = np.random.default_rng(0).standard_normal((*slices[0].shape, len(slices)))
    noise = ndimage.gaussian_filter(noise.astype(np.float32), (0.9, 0.9, 0.2))
    scanned = np.stack(slices, -1) + 25 * noise / noise.std()
    return scanned.astype(np.int16), np.stack(smooth, -1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="holds the unpacked packages")
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)

    def save(
        axis: int, name: str, image: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
    ) -> None:
        folder = options.out / f"axis{axis}"
        folder.mkdir(parents=True, exist_ok=True)
        affine = np.diag([*spacing, 1.0])
        nib.save(nib.Nifti1Image(image, affine), folder / f"{name}.nii.gz")  # type: ignore[attr-defined]
        nib.save(nib.Nifti1Image(truth, affine), folder / f"{name}_gt.nii.gz")  # type: ignore[attr-defined]
        print(axis, name, image.shape, np.bincount(truth.ravel())[1:].tolist())

    tests = next(options.folder.glob("totalsegmentator-*")) / "tests" / "reference_files"
    ct, ids = (
        load(tests / "example_ct_sm.nii.gz").astype(np.int16),
        load(tests / "example_seg.nii.gz"),
    )
    for name, classes in CT.items():
        save(2, name, ct, picked(ids, classes), (3, 3, 3))
    fine = finer(ct, picked(ids, (5, 1, 2, 3)))
    save(2, "ct512_organs", *fine, (3 / FINER, 3 / FINER, 3))
    mr, ids = load(tests / "example_mr_sm.nii.gz"), load(tests / "example_seg_mr.nii.gz")
    for name, classes in MR.items():
        save(2, name, mr.astype(np.int16), picked(ids, classes), (3, 3, 3))
    aorta = tests / "aorta_report" / "test_result" / "models"
    truth = (load(aorta / "aorta.nii.gz") > 0).astype(np.uint8)
    save(0, "ct_aorta", load(aorta / "ct_cropped.nii.gz").astype(np.int16), truth, (1.5, 1.5, 1.5))
    cells = next(options.folder.glob("stardist-*")) / "stardist" / "data" / "images"
    nuclei = tifffile.imread(cells / "mask3d.tif") > 0
    save(0, "nuclei", tifffile.imread(cells / "img3d.tif"), nuclei.astype(np.uint8), (2, 1, 1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
