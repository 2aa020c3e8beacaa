"""TIFF planes and stacks by tifffile: ImageJ, OME and plain files."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import tifffile

from ..volume.image import Volume
from .errors import FormatError
from .fourth_axis import channels_or_one, refuse_choice
from .lazy import EAGER_BYTES, lazy_array
from .limits import check_declared, check_memory
from .ome_channels import described_channels, from_xml
from .tiff_chain import check_chain, check_pages
from .tiff_codecs import decoder, stored_bits
from .tiff_opening import REMARK, left_out, opened
from .tiff_spacing import TiffHeader, voxel_size
from .upright import AS_STORED, ORIENTATION, orientation_of, remark_on, upright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NAME = "TIFF"

#: Axes of tifffile that can be the pages of a stack, in order of preference.
_STACK_AXES = "ZIQTR"

#: Errors in tags and pages after which a file is given up; whole files have none or few.
_MOST_REMARKS = 50

#: Largest file ImageJ's format can hold, with room for its headers.
_IMAGEJ_BYTES = 2**32 - 2**20


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that hold the pages of the first image series.

    Raises
    ------
    OSError, tifffile.TiffFileError
        If the file cannot be opened, or is no TIFF file.
    """
    tif, _ = opened(path)
    with tif:
        # No other kind of TIFF names files beside it.
        return tuple(map(Path, sorted(_files_of(tif.series[0])))) if tif.is_ome else (path,)


def read(path: Path, part: str | None = None) -> Volume:
    """Read the first image series as (page, row, column), colours or channels last.

    The voxel size is taken from OME or ImageJ metadata, else from the resolution tags; where
    the distance of the pages is not given, it is taken to be that of the rows. Of stacks at several
    time points one has to be chosen; planes at several time points are a stack. Large compressed
    files are decoded page by page when they are looked at. Where the OME metadata are damaged, the
    pages are a stack. Pages that are stored turned, as scanners write them, are turned upright.

    Parameters
    ----------
    path : Path
    part : str, optional
        One-based time point, where there are several.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose one.
    FormatError
        If pages are missing or damaged, nothing that is installed decodes them, the axes are
        others, `part` is none of the time points, or it does not fit into memory.
    """
    check_chain(path)
    with _refuse_cut_files(path), contextlib.ExitStack() as stack:
        tif, damaged = opened(path)
        stack.enter_context(tif)
        series: Any = tif.series[0]
        axes = str(series.axes)
        mapped = series.dataoffset is not None
        check_pages(path, series, tif.ome_metadata if tif.is_ome else None)
        _check_size(path, series)
        array: Any
        if mapped:
            kind = np.dtype(series.dtype).newbyteorder(tif.byteorder)
            array = np.memmap(path, kind, "r", int(series.dataoffset), tuple(series.shape))
        elif series.nbytes > EAGER_BYTES:
            array = _pages(path, series)
        else:
            check_memory(path, series.nbytes)
            array = _whole(path, series)
        array, axes, chosen = _one_time(path, array, axes, part)
        array, spatial = _ordered(path, array, axes)
        rank = len(spatial)
        turn = _orientation(tif)
        array = upright(array, turn, rank - 2)
        header, remarks = voxel_size(tif, array.shape[:rank], turn)
        remarks = (*([REMARK] if damaged else []), *remarks, *left_out(tif), *remark_on(turn))
        ome = from_xml(tif.ome_metadata) if tif.is_ome and tif.ome_metadata else []
    return Volume(
        array,
        header.geometry,
        header=header,
        part=chosen,
        axis_names=("t", "y", "x") if spatial == "TYX" else (),
        warnings=remarks,
        **described_channels(ome, array.shape[rank:]),
    )


def _orientation(tif: tifffile.TiffFile) -> int:
    """Return how the first page says that it is stored; microscopes' formats know no turns."""
    tag = tif.pages.first.tags.get(ORIENTATION)
    return AS_STORED if tag is None or tif.is_ome or tif.is_imagej else orientation_of(tag.value)


def _check_size(path: Path, series: Any) -> None:
    """Refuse tags that promise more than the file can hold, before memory is given to them."""
    page = series.keyframe
    kind = {1: "raw", 5: "gzip", 8: "gzip", 32946: "gzip", 32773: "rle"}.get(
        int(page.compression), "picture"
    )
    stored = sum(Path(file).stat().st_size for file in {str(path), *_files_of(series)})
    check_declared(path, series.size * stored_bits(page) / 8, stored, kind)
    for page in series.pages:
        if sum(page.databytecounts) > page.parent.filehandle.size:
            raise FormatError(
                f"{path} is damaged: page {page.index + 1} is longer than the file; copy or export "
                "it again."
            )


def _files_of(series: Any) -> set[str]:
    """Files that hold the pages of a series: OME-TIFF may spread them over several."""
    found = {page.parent.filehandle.path for page in series.pages}
    return {str(file) for file in found if file}


def _whole(path: Path, series: Any) -> NDArray[Any]:
    """Return all pages of a series, decoded."""
    decode = decoder(path, series)
    if decode is None:
        return cast("NDArray[Any]", series.asarray())
    with contextlib.closing(decode):
        return np.stack([decode(page) for page in series.pages]).reshape(series.shape)


def _pages(path: Path, series: Any) -> Any:
    """Return a lazy array over the pages of a series."""
    pages = list(series.pages)
    page_shape = tuple(int(length) for length in series.keyframe.shape)
    shape = tuple(int(length) for length in series.shape)
    lead = shape[: len(shape) - len(page_shape)]
    if shape[len(lead) :] != page_shape or math.prod(lead) != len(pages):
        check_memory(path, series.nbytes)  # pages that hold more than a plane
        return _whole(path, series)

    tif, _ = opened(path)  # stays open as long as the array is used, as the decoder does
    decode = decoder(path, tif.series[0]) or (lambda page: page.asarray())
    own = list(tif.series[0].pages)
    lock = threading.Lock()

    def read(region: tuple[slice, ...]) -> NDArray[Any]:
        wanted = np.arange(len(own)).reshape(lead)[region[: len(lead)]]
        with lock:  # pages share one file position
            planes = [decode(own[int(n)]) for n in wanted.ravel()]
        block = np.stack(planes).reshape(*wanted.shape, *page_shape)
        return block[(*(slice(None),) * len(lead), *region[len(lead) :])]

    chunks = (*(1,) * len(lead), *page_shape)
    return lazy_array(str(path), read, shape, np.dtype(series.dtype), chunks)


def _one_time(path: Path, array: Any, axes: str, part: str | None) -> tuple[Any, str, str]:
    """Return the array at one time point, where there is a stack or channels at each."""
    planes = [a for a in axes if a not in "YXSC" and array.shape[axes.index(a)] > 1]
    if "T" not in planes or len(planes) < 2:  # planes one after another are a stack, named or not
        refuse_choice(path, part)
        return array, axes, ""
    at = axes.index("T")
    array, chosen = channels_or_one(path, array, at, part, time=True)
    return array, axes[:at] + axes[at + 1 :], chosen


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write labels with the voxel size of `like`; see `LabelFormat.write_labels`.

    As OME-TIFF if the name ends in ``.ome.tif`` or the source is OME, else as an ImageJ stack.
    An oriented image is written as it is shown: axial pages, anterior at the top.
    """
    geometry = like.geometry
    header = like.header
    same = isinstance(header, TiffHeader) and header.geometry == geometry
    header = header if isinstance(header, TiffHeader) and same else TiffHeader(False, geometry)
    axes = "ZYX"[-labels.ndim :]
    order = geometry.canonical()
    spacing = order.scale
    metadata: dict[str, Any] = {"axes": axes}
    data = np.ascontiguousarray(order.apply(labels))
    options: dict[str, Any] = {"photometric": "minisblack", "compression": None}
    named = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    if named or header.ome or data.nbytes > _IMAGEJ_BYTES:
        unit = {"um": "\u00b5m"}.get(geometry.units, geometry.units)
        for axis, size in zip(axes, spacing, strict=True):
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = unit
        tifffile.imwrite(path, data, ome=True, metadata=metadata, **options)
        return
    if header.has_imagej_fields:
        metadata |= {} if header.unit is None else {"unit": header.unit}
        metadata |= {} if header.spacing is None else {"spacing": header.spacing}
    else:
        metadata["unit"] = geometry.units
        if len(spacing) == 3:
            metadata["spacing"] = spacing[0]
    resolution = header.resolution if header.unit is not None else None
    options["resolution"] = resolution or (1.0 / spacing[-1], 1.0 / spacing[-2])
    # With all axes of ImageJ: else an axis of one voxel is taken for that of the colours.
    metadata["axes"] = "TZCYXS"
    shape = (1, *data.shape) if data.ndim == 3 else (1, 1, *data.shape)
    data = data.reshape(*shape[:2], 1, *shape[2:], 1)
    tifffile.imwrite(path, data, imagej=True, metadata=metadata, **options)


@contextlib.contextmanager
def _refuse_cut_files(path: Path) -> Iterator[None]:
    """Raise where tifffile only logs that pages are missing, and gives the first ones."""
    found = _Damage()
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(found)
    try:
        yield
    finally:
        logger.removeHandler(found)
        logger.propagate = propagate
    if found.cut:
        raise FormatError(f"{path} is incomplete: pages are missing; copy or export it again.")


class _Damage(logging.Handler):
    """Notices what tifffile logs about missing pages; other remarks do not matter here.

    In a damaged file it may go on through millions of tags; after many remarks that is stopped.
    """

    cut = False
    remarks = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.remarks += record.levelno >= logging.ERROR
        if self.remarks > _MOST_REMARKS:
            raise ValueError("too many damaged tags")
        message = record.getMessage()
        self.cut |= "invalid page offset" in message or "invalid or corrupted" in message


def _ordered(path: Path, array: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    """Return the array as ([stack,] row, column[, channel]) and its axes but for the channels."""
    for axis in reversed(range(len(axes))):
        if array.shape[axis] == 1 and axes[axis] not in "YX":
            array, axes = array.squeeze(axis=axis), axes[:axis] + axes[axis + 1 :]
    stack = next((letter for letter in _STACK_AXES if letter in axes), "")
    channel = next((letter for letter in "SC" if letter in axes), "")
    wanted = f"{stack}YX{channel}"
    if sorted(wanted) != sorted(axes):
        raise FormatError(
            f"{path} has the axes {axes} of lengths {tuple(array.shape)}; save one plane or one "
            "stack of planes."
        )
    array = array.transpose([axes.index(letter) for letter in wanted])
    return array, f"{stack}YX"
