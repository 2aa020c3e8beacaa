"""The small data set of `dataset_files` as NIfTI files, which say where their voxels lie."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from .training.dataset_files import make_volume, write_dataset

AFFINE = np.diag([0.8, 0.8, 3.0, 1.0])


def write_nifti(folder: Path, **changes) -> Path:
    names = {"volumes": [{"image": "{case}.nii.gz", "labels": "{case}_gt.nii.gz"}]}
    path = write_dataset(folder, **{"distances": "mm", **names, **changes})
    for i in range(5):
        image, truth = make_volume(i)
        nib.save(nib.Nifti1Image(image, AFFINE), folder / f"c{i}.nii.gz")
        nib.save(nib.Nifti1Image(truth, AFFINE), folder / f"c{i}_gt.nii.gz")
    return path
