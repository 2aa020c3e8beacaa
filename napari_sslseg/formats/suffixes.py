"""Which module reads, and which writes, the files of a suffix."""

from __future__ import annotations

#: Suffix (lower case) -> modules of this package that read images and write labels. A longer suffix
#: goes before a shorter one.
_BOTH = {
    ".nii.gz": ("nifti", "nifti"),
    ".nii": ("nifti", "nifti"),
    ".nrrd": ("simpleitk", "simpleitk"),
    ".nhdr": ("simpleitk", "simpleitk"),
    ".mha": ("simpleitk", "simpleitk"),
    ".mhd": ("simpleitk", "simpleitk"),
    ".ome.tiff": ("tiff", "tiff"),
    ".ome.tif": ("tiff", "tiff"),
    ".tiff": ("tiff", "tiff"),
    ".tif": ("tiff", "tiff"),
    ".ome.zarr": ("ome_zarr", "ome_zarr_labels"),
    ".zarr": ("ome_zarr", "ome_zarr_labels"),
    ".dcm": ("dicom", ""),
    ".dicom": ("dicom", ""),
    ".ima": ("dicom", ""),
    ".png": ("pictures", ""),
    ".jpeg": ("pictures", ""),
    ".jpg": ("pictures", ""),
    ".bmp": ("pictures", ""),
    ".npy": ("npy", "npy"),
}

#: Suffix of a file -> that of a second one that is written beside it: compressed voxels of a
#: header, colours of a surface.
SIDE_FILES = {".mhd": ".zraw", ".nhdr": ".raw.gz", ".obj": ".mtl"}

READERS = {suffix: reads for suffix, (reads, _) in _BOTH.items()}
WRITERS = {suffix: writes for suffix, (_, writes) in _BOTH.items() if writes}
