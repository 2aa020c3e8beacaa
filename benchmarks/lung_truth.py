"""Label the lungs of chest CTs by their density, as truth for few-slice cases of large slices.

    python benchmarks/lung_truth.py CT [CT ...] OUT

Writes ``X.nii.gz`` and ``X_gt.nii.gz`` into OUT for ``make_cases.py``. Lung is the largest
connected air (below -400 HU) inside of the body, opened by a voxel and closed by three in each
slice, so that most vessels count as lung. Two CTs come with the source of pyradiomics:
``pip download --no-deps --no-binary :all: pyradiomics``, ``data/lung1_image.nrrd``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

AIR, TISSUE = -400, -300
"""Hounsfield units below which it is air, above which it belongs to the body."""


def lungs(hounsfield: np.ndarray) -> np.ndarray:
    """Return the lungs (Z, H, W) bool of a CT."""
    body = _largest(ndimage.binary_opening(hounsfield > TISSUE, iterations=2))
    filled = np.stack([ndimage.binary_fill_holes(slice_) for slice_ in body])
    air = _largest(ndimage.binary_opening(filled & (hounsfield < AIR)))
    return np.stack([ndimage.binary_closing(slice_, iterations=3) for slice_ in air])


def _largest(mask: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("ct", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in options.ct:
        image = sitk.ReadImage(str(path))
        found = lungs(sitk.GetArrayViewFromImage(image))
        truth = sitk.GetImageFromArray(found.astype(np.uint8))
        truth.CopyInformation(image)
        name = path.name.split(".")[0]
        sitk.WriteImage(image, str(options.out / f"{name}.nii.gz"))
        sitk.WriteImage(truth, str(options.out / f"{name}_gt.nii.gz"))
        print(f"{name}: {found.shape}, {found.sum()} voxels of lung")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
