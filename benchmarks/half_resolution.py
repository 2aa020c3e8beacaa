"""Halve the resolution of labelled volumes, for short protocols in three dimensions.

    python benchmarks/half_resolution.py DATA OUT [--part train]

DATA/PART holds ``X.nii.gz`` with ``X_gt.nii.gz``, and so will OUT/PART: means of 2 x 2 x 2 voxels
of the image, and the class that most of the eight have (of several, the lowest). Patches then show
eight times as much, which is what networks for volumes need when they are trained for minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import SimpleITK as sitk

HALF = (2, 2, 2)


def halved_image(image: sitk.Image) -> sitk.Image:
    """Return an image of half the resolution, its voxels the means of eight."""
    return sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), HALF)


def halved_labels(labels: sitk.Image) -> sitk.Image:
    """Return labels of half the resolution, each voxel what most of its eight are."""
    classes = [int(v) for v in np.unique(sitk.GetArrayViewFromImage(labels))]
    shares = [sitk.BinShrink(sitk.Cast(labels == c, sitk.sitkFloat32), HALF) for c in classes]
    stacked = np.stack([sitk.GetArrayViewFromImage(share) for share in shares])
    result = sitk.GetImageFromArray(np.asarray(classes, np.uint8)[stacked.argmax(0)])
    result.CopyInformation(shares[0])
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", default="train")
    options = parser.parse_args(arguments)
    target = options.out / options.part
    target.mkdir(parents=True, exist_ok=True)
    paths = sorted((options.data / options.part).glob("*_gt.nii.gz"))
    if not paths:
        parser.error(f"there is no X_gt.nii.gz in {options.data / options.part}")
    for path in paths:
        image = path.with_name(path.name.replace("_gt.nii.gz", ".nii.gz"))
        sitk.WriteImage(halved_image(sitk.ReadImage(str(image))), str(target / image.name))
        sitk.WriteImage(halved_labels(sitk.ReadImage(str(path))), str(target / path.name))
    print(f"{len(paths)} volumes in {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
