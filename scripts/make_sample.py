"""Make the sample volume of the package from the brain template that nilearn carries.

The source is the ICBM152 2009a nonlinear symmetric T1-weighted template at 1 mm with its grey- and
white-matter probability maps, as in the wheel of nilearn on PyPI. nilearn need not be installed::

    pip download --no-deps nilearn
    python scripts/make_sample.py nilearn-*.whl

The crop is the front half of the brain (144 x 96 x 56 voxels): the full width, from the frontal
pole back to the thalamus, from below the basal ganglia up to the centrum semiovale. So each axial
slice shows folded cortex all around, and on their way up the slices pass the caudate nucleus,
putamen and insula, the frontal horns and the bodies of the lateral ventricles.

A voxel is tissue if grey and white matter together are more probable than not, and is then of the
more probable one; everything else is background. (To ask one half of a single tissue would leave
specks of background along their border.)
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np

DATA = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
SAMPLE = Path(__file__).parent.parent / "napari_sslseg" / "sample"

#: First voxel and size of the crop in the template's (i, j, k).
START = (26, 114, 62)
SIZE = (144, 96, 56)


def load(wheel: Path | None, kind: str) -> nib.Nifti1Image:
    """Load the ``t1``, ``gm`` or ``wm`` image from a wheel, or from the installed nilearn."""
    name = DATA.format(kind)
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"nilearn/{name}")
    else:
        package = importlib.util.find_spec("nilearn")
        if package is None or package.origin is None:
            raise SystemExit("nilearn is not installed; download its wheel and give its path.")
        content = (Path(package.origin).parent / name).read_bytes()
    return nib.Nifti1Image.from_bytes(gzip.decompress(content))


def save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI file whose bytes depend on nothing but the values."""
    image = nib.Nifti1Image(np.asfortranarray(array), affine)
    image.set_sform(affine, "mni")
    image.set_qform(affine, "mni")
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=9, mtime=0))
    print(f"{path}: {array.shape}, {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Crop the template and its tissue maps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", nargs="?", type=Path, help="wheel of nilearn")
    wheel = parser.parse_args().wheel
    t1, grey, white = (load(wheel, kind) for kind in ("t1", "gm", "wm"))
    crop = tuple(slice(start, start + size) for start, size in zip(START, SIZE, strict=True))
    affine = t1.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(t1.affine, START)

    # The maps are probabilities scaled to 0..255, each by its own maximum.
    p_grey, p_white = (
        np.asarray(image.dataobj, dtype=np.float64) / np.max(image.dataobj)
        for image in (grey, white)
    )
    labels = np.zeros(t1.shape, np.uint8)
    tissue = p_grey + p_white > 0.5
    labels[tissue] = np.where(p_grey >= p_white, 1, 2)[tissue]

    save(SAMPLE / "brain_t1.nii.gz", np.asarray(t1.dataobj)[crop].astype(np.uint8), affine)
    save(SAMPLE / "brain_labels.nii.gz", labels[crop], affine)


if __name__ == "__main__":
    main()
