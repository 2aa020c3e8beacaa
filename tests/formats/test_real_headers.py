"""Headers of real scanners and archives: masks stay where other libraries say that they are.

``NAPARI_SSLSEG_GEOMETRY`` names a folder of images ``X`` with masks ``X_gt``, which may not be
passed on; without it these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import export, read
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.classes import ClassTable, SegmentClass

from .test_positions import by_itk, by_nibabel

FOLDER = Path(os.environ.get("NAPARI_SSLSEG_GEOMETRY", "none"))
MASKS = sorted(FOLDER.glob("*_gt.*")) if FOLDER.is_dir() else []
CLASSES = ClassTable([SegmentClass(1, "One", "#ff0000")])
pytestmark = pytest.mark.skipif(not MASKS, reason="NAPARI_SSLSEG_GEOMETRY names no folder")


def image_of(mask: Path) -> Path:
    name = mask.name.replace("_gt", "")
    return next(
        p
        for p in (mask.with_name(name), mask.with_name(name.replace(".", "_image.", 1)))
        if p.exists()
    )


def places(path: Path) -> np.ndarray:
    """Positions (N, 3), mm, of the mask's voxels, by a library that is not ours."""
    found = (by_nibabel if ".nii" in path.name else by_itk)(path)
    return np.array(found(1))


@pytest.mark.parametrize("mask", MASKS, ids=lambda path: path.name)
def test_mask_of_a_real_image_stays_in_place_in_every_format(tmp_path, mask):
    volume = read(image_of(mask))
    imported = import_labels(mask, volume, classes=CLASSES)
    assert not imported.resampled
    wanted = places(mask)
    assert len(wanted) == np.count_nonzero(imported.labels == 1)
    order = volume.geometry.canonical()
    # As on the screen: labels go through the displayed order and back.
    shown = np.ascontiguousarray(order.apply(imported.labels))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        (path,) = export(tmp_path / f"seg{suffix}", order.invert(shown), volume, CLASSES)
        found = np.array(by_itk(path)(1))
        assert len(found) == len(wanted)
        key = [np.lexsort(np.round(p, 2).T) for p in (found, wanted)]
        assert np.abs(found[key[0]] - wanted[key[1]]).max() < 1e-4, suffix


@pytest.mark.parametrize("mask", [m for m in MASKS if ".nii" in m.name], ids=lambda path: path.name)
def test_header_of_a_real_nifti_file_is_kept_bit_for_bit(tmp_path, mask):
    source = image_of(mask)
    volume = read(source)
    labels = import_labels(mask, volume, classes=CLASSES).labels
    (path,) = export(tmp_path / "seg.nii.gz", labels, volume, CLASSES)
    one, two = nib.load(source).header, nib.load(path).header
    for field in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "pixdim", "xyzt_units"):
        assert one[field].tobytes() == two[field].tobytes(), field
    assert np.array_equal(
        sitk.ReadImage(str(path)).GetDirection(), sitk.ReadImage(str(source)).GetDirection()
    )
