"""NIfTI-1 and NIfTI-2 by nibabel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "NIfTI"

#: Spatial unit of ``xyzt_units`` -> unit of the geometry. Files often leave it unknown.
_UNITS = {"mm": "mm", "micron": "um", "meter": "m", "unknown": "mm"}

#: Longest axis that a NIfTI-1 header (16-bit dimensions) can hold.
_NIFTI1_LONGEST = 32767


def read(path: Path) -> Volume:
    """Read a NIfTI file, uncompressed ones memory-mapped; scale factors are applied.

    A fourth axis longer than one becomes channels. The affine is the sform if its code says so,
    else the qform, else the spacing alone, as nibabel decides.
    """
    image = nib.load(path, mmap="r")
    if not isinstance(image, nib.Nifti1Pair):  # Nifti2 derives from it; Analyze does not
        raise FormatError(f"{path} is not a NIfTI file; convert it.")
    header = image.header
    array = _values(image)
    if array.ndim > 4:  # an axis of length one says nothing, whatever it was meant for
        extra = tuple(axis for axis in range(3, array.ndim) if array.shape[axis] == 1)
        array = array.squeeze(axis=extra)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3, 4):
        raise FormatError(
            f"{path} has {array.ndim} axes; give an image of two or three, or of three and "
            "channels."
        )
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:  # an undefined code
        unit = "unknown"
    try:
        geometry = Geometry(image.affine, array.shape[:3], _UNITS[unit])
    except ValueError as error:
        raise FormatError(
            f"{path} does not say where its voxels lie: {error}; correct its header."
        ) from error
    return Volume(array, geometry, header=header.copy())


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write labels; from a NIfTI source sform, qform, codes and units are copied unchanged."""
    header = like.header
    if isinstance(header, nib.Nifti1Header) and _describes(header, like.geometry):
        kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
        header = header.copy()
        header.extensions.clear()  # they describe the image, and may name the patient
        header.set_data_dtype(np.uint8)
        header.set_intent("none")
        header["cal_min"] = header["cal_max"] = 0  # the window of the image
        # Without an affine of its own the image leaves sform, qform and spacing as they are.
        image = kind(labels, None, header)
    else:
        geometry = like.geometry.in_millimetres()
        long = max(labels.shape) > _NIFTI1_LONGEST
        image = (nib.Nifti2Image if long else nib.Nifti1Image)(labels, geometry.affine)
        code = "scanner" if geometry.oriented else "aligned"
        image.set_sform(geometry.affine, code)
        image.set_qform(geometry.affine, code)
        image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _values(image: nib.Nifti1Pair) -> NDArray[Any]:
    proxy: Any = image.dataobj
    if image.header.get_data_dtype().names:  # RGB and RGBA are stored as structures of bytes
        colours = np.asarray(proxy)
        channels = len(colours.dtype.names or ())
        return np.ascontiguousarray(colours).view(np.uint8).reshape(*colours.shape, channels)
    if (proxy.slope, proxy.inter) == (1.0, 0.0):
        return np.asanyarray(proxy.get_unscaled())
    # float32 resolves scaled 16-bit values a hundred times over, in half the memory of float64.
    return np.asarray(proxy, dtype=np.float32)


def _describes(header: nib.Nifti1Header, geometry: Geometry) -> bool:
    """Whether the header holds this very geometry (it may have been exchanged since)."""
    n = geometry.ndim
    return np.array_equal(header.get_best_affine(), geometry.affine) and (
        tuple(header.get_data_shape()[:n]) == geometry.shape
    )
