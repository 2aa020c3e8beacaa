"""NIfTI-1 and NIfTI-2 by nibabel."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError
from .fourth_axis import channels_or_one, refuse_choice, remark_on_channels
from .lazy import EAGER_BYTES, lazy_array
from .limits import check_declared, check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NAME = "NIfTI"

#: Intent of a file whose fourth axis is time without a doubt.
_TIME_SERIES = 2001

#: Spatial unit of ``xyzt_units`` -> unit of the geometry. Files often leave it unknown.
_UNITS = {"mm": "mm", "micron": "um", "meter": "m", "unknown": "mm"}

#: First bytes of what gzip has compressed.
_GZIP = b"\x1f\x8b"

#: First bytes of a NIfTI header: its length, in either byte order.
_HEADER_SIZES = [size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")]

#: Longest axis that a NIfTI-1 header (16-bit dimensions) can hold.
_NIFTI1_LONGEST = 32767


def read(path: Path, part: str | None = None) -> Volume:
    """Read a NIfTI file, uncompressed ones memory-mapped; scale factors are applied.

    Of a fourth axis longer than one, see `channels_or_one`. The affine is the sform if its code
    says so, else the qform, else the spacing alone, as nibabel decides.

    Parameters
    ----------
    path : Path
    part : str, optional
        As of `channels_or_one`.

    Returns
    -------
    Volume
        Array ``(i, j[, k][, channel])`` of the stored type, or float32 where it is scaled; the
        header is nibabel's.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose one.
    FormatError
        If the header is damaged or promises more than there is, the axes are too many, or `part`
        is none of the volumes.
    """
    _check_begin(path)
    with _repairs() as repairs:
        image = nib.load(path, mmap="r")
    if not isinstance(image, nib.Nifti1Pair):  # Nifti2 derives from it; Analyze does not
        raise FormatError(f"{path} is not a NIfTI file; convert it.")
    image, repaired = _with_affine(image)
    header = image.header
    if "pixdim" in repairs and int(header["sform_code"]) <= 0:
        raise FormatError(f"{path} states a voxel size that is not positive; correct its header.")
    _check_size(path, image)
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
    chosen = ""
    said: tuple[str, ...] = ()
    if array.ndim == 4 and not header.get_data_dtype().names:
        # The unit of time says nothing: most programs state seconds, whatever the axis is.
        time = int(header["intent_code"]) == _TIME_SERIES
        array, chosen = channels_or_one(path, array, 3, part, time=time)
        said = remark_on_channels(array, chosen)
    else:
        refuse_choice(path, part)
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
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return Volume(
        array,
        geometry,
        header=header.copy(),
        part=chosen,
        window=(low, high) if np.isfinite([low, high]).all() and low < high else None,
        warnings=(*(repaired or _remarks(header, geometry)), *said),
    )


def _with_affine(image: nib.Nifti1Pair) -> tuple[nib.Nifti1Pair, tuple[str, ...]]:
    """Return an image whose sform is none, though its code says there is one, with its qform."""
    header = image.header
    if int(header["sform_code"]) <= 0 or int(header["qform_code"]) <= 0:
        return image, ()
    sform = header.get_sform()[:3]
    if not np.isfinite(sform).all() or np.linalg.matrix_rank(sform[:, :3]) == 3:
        return image, ()
    header = header.copy()
    header["sform_code"] = 0  # so that masks with this header do not have it either
    try:
        affine = header.get_best_affine()
    except ValueError:  # a quaternion that is none
        return image, ()
    found = type(image)(image.dataobj, affine, header, file_map=image.file_map)
    return found, ("The file's sform is empty or singular: the qform is taken.",)


@contextlib.contextmanager
def _repairs() -> Iterator[list[str]]:
    """Collect the fields that nibabel repairs in a header, instead of printing it."""
    fields: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields.append(re.split(r"\W", record.getMessage(), maxsplit=1)[0])

    logger, listener = nib.imageglobals.logger, Listener()
    handlers, propagate = logger.handlers[:], logger.propagate
    logger.handlers, logger.propagate = [listener], False
    try:
        yield fields
    finally:
        logger.handlers, logger.propagate = handlers, propagate


def _check_begin(path: Path) -> None:
    """Refuse a file whose voxels begin beyond its end: header extensions would reach to there."""
    with path.open("rb") as raw:
        begin = raw.read(4)
    if path.suffix.lower() != ".gz" and begin.startswith(_GZIP):
        raise FormatError(f"{path} is compressed by gzip, unlike its name; name it .nii.gz.")
    if path.suffix.lower() == ".gz" and begin in _HEADER_SIZES:
        raise FormatError(f"{path} is not compressed, unlike its name; name it .nii.")
    with nib.openers.ImageOpener(str(path)) as file:
        block = file.read(540)
    for kind, length in ((nib.Nifti1Header, 348), (nib.Nifti2Header, 540)):
        if len(block) >= length and kind.may_contain_header(block):
            offset = float(kind(block[:length], check=False)["vox_offset"])
            packed = "gzip" if path.suffix.lower() == ".gz" else "raw"
            if not offset < math.inf:
                offset = math.inf
            check_declared(path, offset, path.stat().st_size, packed)


def _check_size(path: Path, image: nib.Nifti1Pair) -> None:
    """Refuse a header that promises more voxels than the file can hold, before they are read."""
    header = image.header
    file = Path(image.file_map["image"].filename or path)
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    # Python's integers: the product of lying lengths does not fit 64 bits.
    declared = math.prod(int(length) for length in shape) * dtype.itemsize
    packed = {".gz": "gzip", ".bz2": "bzip2"}.get(file.suffix.lower(), "raw")
    check_declared(path, declared, file.stat().st_size, packed)
    if packed != "raw":
        proxy: Any = image.dataobj
        check_memory(path, declared * (1 if (proxy.slope, proxy.inter) == (1.0, 0.0) else 2))


def _remarks(header: nib.Nifti1Header, geometry: Geometry) -> tuple[str, ...]:
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if sform <= 0 and qform <= 0:
        return (
            "The file does not say how it lies in the patient: left and right, front and back may "
            "be wrong.",
        )
    if sform > 0 and qform > 0:
        try:
            other = header.get_qform()
        except ValueError:  # a quaternion that is none
            other = None
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array((*geometry.shape, 1)[:3]) - 1)
        points = np.c_[corners, np.ones(8)]
        if other is None or not np.allclose(
            points @ other.T, points @ geometry.affine.T, atol=0.5 * min(geometry.spacing)
        ):
            return ("The file's sform and qform disagree: the sform is taken.",)
    return ()


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write labels; from a NIfTI source sform, qform, codes and units are copied unchanged.

    Of other sources both say the affine in millimetres. See `LabelFormat.write_labels`.
    """
    header = like.header
    if isinstance(header, nib.Nifti1Header) and _describes(header, like.geometry):
        kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
        header = header.copy()
        header.extensions.clear()  # they describe the image, and may name the patient,
        for text in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
            if text in header:  # and so may these; NIfTI-2 has not all of them
                header[text] = b""
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


def _values(image: nib.Nifti1Pair) -> Any:
    proxy: Any = image.dataobj
    if image.header.get_data_dtype().names:  # RGB and RGBA are stored as structures of bytes
        colours = np.asarray(proxy)
        channels = len(colours.dtype.names or ())
        return np.ascontiguousarray(colours).view(np.uint8).reshape(*colours.shape, channels)
    if (proxy.slope, proxy.inter) == (1.0, 0.0):
        return np.asanyarray(proxy.get_unscaled())
    # float32 resolves scaled 16-bit values a hundred times over, in half the memory of float64.
    shape = tuple(int(length) for length in proxy.shape)
    mapped = Path(image.file_map["image"].filename or "").suffix == ".nii"
    if mapped and math.prod(shape) * 4 > EAGER_BYTES:
        chunks = (*shape[:-1], 1) if len(shape) < 4 else (*shape[:2], 1, *shape[3:])
        name = str(image.file_map["image"].filename)
        return lazy_array(name, lambda region: proxy[region], shape, np.dtype(np.float32), chunks)
    return np.asarray(proxy, dtype=np.float32)


def _describes(header: nib.Nifti1Header, geometry: Geometry) -> bool:
    """Whether the header holds this very geometry (it may have been exchanged since)."""
    n = geometry.ndim
    return np.array_equal(header.get_best_affine(), geometry.affine) and (
        tuple(header.get_data_shape()[:n]) == geometry.shape
    )
