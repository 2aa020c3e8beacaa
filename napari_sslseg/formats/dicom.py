"""DICOM by pydicom: folders, series, and single files that belong to one."""

from __future__ import annotations

import os
import string
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..volume.image import Volume
from .choice import SeveralVolumesError
from .dicom_geometry import is_placed, place
from .dicom_headers import FrameHeader, read_frames
from .dicom_opening import is_dicom, may_not_read
from .dicom_pixels import read_stack
from .dicom_rtstruct_reader import is_structure_set
from .dicom_series import DicomFrame, DicomSource, SeriesInfo
from .dicom_stacks import Stack, stacks_of
from .errors import FormatError
from .extras import needing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..volume.geometry import Geometry

NAME = "DICOM"

#: Suffixes of files that are tried even if they do not begin as DICOM files do.
SUFFIXES = (".dcm", ".dicom", ".ima")

_LETTERS = string.ascii_lowercase
_NO_LETTERS = str.maketrans("", "", _LETTERS)

#: Files looked at in a folder and below it; more are the wrong folder rather than one patient.
_MOST_FILES = 50_000


def read(path: Path, part: str | None = None) -> Volume:
    """Read a series.

    Parameters
    ----------
    path : Path
        A folder, in which and below which the files are looked for; a file, the rest of whose
        volume is found beside it; or the DICOMDIR of a folder.
    part : str, optional
        Key of a `SeriesInfo`, or a Series Instance UID, where there are several volumes.

    Returns
    -------
    Volume
        Indexed ``[column, row, slice]``, or ``[slice, row, column]`` where the files do not say
        where the slices lie; its header is a `DicomSource`.

    Raises
    ------
    SeveralVolumesError
        If there are several volumes and `part` chooses none.
    FormatError
        If there is no DICOM image, or it cannot be read.
    """
    stacks, remarks = _find(path)
    infos = _infos(stacks)
    chosen = [n for n, info in enumerate(infos) if part in (info.key, info.series_instance_uid)]
    if part is not None and not chosen:
        keys = ", ".join(info.key for info in infos)
        raise FormatError(f"{path} holds no volume {part!r}; choose one of {keys}.")
    if part is None:
        chosen = list(range(len(stacks)))
        if path.is_file() and path.name.upper() != "DICOMDIR":
            chosen = [n for n in chosen if str(path) in infos[n].paths]
    if len(chosen) > 1:
        raise SeveralVolumesError(str(path), [infos[n] for n in chosen])
    (index,) = chosen
    return _volume(stacks[index], infos[index], remarks)


def holds_dicom(folder: Path, *, forbidden: bool = False) -> bool:
    """Whether there is any DICOM file in a folder or below it.

    Parameters
    ----------
    folder : Path
    forbidden : bool
        Whether folders that may not be listed count, and files that may not be read where their
        names do not speak against it.

    Raises
    ------
    FormatError
        If there are more than 50,000 files before one is found.
    """
    closed: list[str] = []
    found = (path for path in _dicom_below(folder, closed) if forbidden or _is_dicom(Path(path)))
    return next(found, None) is not None or (forbidden and bool(closed))


def _find(path: Path) -> tuple[list[Stack], list[str]]:
    """Return the volumes of a folder, or of the series of a file, and remarks."""
    with needing("dicom", NAME):
        import pydicom  # noqa: F401 - said here, rather than for each file
    if path.name.upper() == "DICOMDIR" and path.is_file():
        path = path.parent
    forbidden: list[str] = []
    if path.is_dir():
        frames, damaged = _read_headers(_dicom_below(path, forbidden), forbidden)
        if not frames and forbidden:
            raise FormatError(_forbidden(forbidden))
        if not frames:
            raise FormatError(
                f"{damaged[0]} cannot be read as DICOM: its header is damaged; copy or export it "
                "again."
                if damaged
                else f"{path} holds no DICOM images; give the folder of a series."
            )
    else:
        own = read_frames(str(path))
        if not own and is_structure_set(path):
            raise FormatError(
                f"{path} is a structure set; open the images that it was drawn on, then import it "
                "as labels."
            )
        if not own:
            raise FormatError(
                f"{path} holds no image that can be stacked; give a file of an image series."
            )
        series = own[0].file.series_uid
        beside = sorted(p for p in path.parent.iterdir() if p != path and _maybe_dicom(p))
        rest, damaged = _read_headers(map(str, beside), forbidden) if series else ([], [])
        frames = own + [frame for frame in rest if frame.file.series_uid == series]
    remarks = []
    if damaged:
        files = "1 file" if len(damaged) == 1 else f"{len(damaged)} files"
        remarks.append(f"{files} left out, damaged: {damaged[0]}{' …' if damaged[1:] else ''}")
    if forbidden:
        remarks.append(f"Left out: {_forbidden(forbidden)}")
    return stacks_of(frames), remarks


def _forbidden(paths: list[str]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} may not be read; change its permissions."
    return f"{paths[0]} and {len(paths) - 1} more may not be read; change their permissions."


def _read_headers(
    paths: Iterable[str], forbidden: list[str]
) -> tuple[list[FrameHeader], list[str]]:
    """Return the frames of files, and which are damaged; `forbidden` gets those not to be read."""
    frames: list[FrameHeader] = []
    damaged: list[str] = []
    for path in paths:
        try:
            frames += read_frames(path)
        except PermissionError:
            forbidden.append(path)
        except (FormatError, OSError):
            damaged.append(path)
    return frames, damaged


def _dicom_below(folder: Path, forbidden: list[str]) -> Iterator[str]:
    """Yield what may be DICOM in a folder and below; `forbidden` gets folders not to be listed."""

    def refused(error: OSError) -> None:
        if isinstance(error, PermissionError):
            forbidden.append(str(error.filename))

    seen = 0
    for parent, folders, names in os.walk(folder, onerror=refused):
        folders.sort()
        seen += len(names)
        if seen > _MOST_FILES:
            raise FormatError(
                f"{folder} holds more than {_MOST_FILES} files; give the folder of a series."
            )
        yield from (str(p) for name in sorted(names) if _maybe_dicom(p := Path(parent, name)))


def _maybe_dicom(path: Path) -> bool:
    if not path.is_file() or path.name.upper() == "DICOMDIR":
        return False
    # Names of DICOM files often have no suffix, or end with the last number of a UID.
    nameless = not path.suffix.strip(string.digits + ".")
    return _is_dicom(path) or (nameless and may_not_read(path))


def _is_dicom(path: Path) -> bool:
    return is_dicom(path) or (path.suffix.lower() in SUFFIXES and path.stat().st_size > 0)


def _infos(stacks: list[Stack]) -> list[SeriesInfo]:
    """Describe volumes; the key is the series number and, of several, which volume of it."""
    members: dict[tuple[str, str], list[Stack]] = {}
    for stack in stacks:
        file = stack.frames[0].file
        members.setdefault((file.study_uid, file.series_uid), []).append(stack)
    numbers = [group[0].frames[0].file.series_number for group in members.values()]
    infos = []
    for n, group in enumerate(members.values()):
        key = str(numbers[n])
        if numbers.count(numbers[n]) > 1:  # every study counts its series alike
            key += f"{_LETTERS[min(numbers[:n].count(numbers[n]), len(_LETTERS) - 1)]}"
        for count, stack in enumerate(group, 1):
            infos.append(_info(stack, f"{key}.{count}" if len(group) > 1 else key))
    titles = [info.title for info in infos]
    return [
        replace(info, title=f"{info.title}, {Path(info.paths[0]).name}")
        if titles.count(info.title) > 1
        else info
        for info in infos
    ]


def _info(stack: Stack, key: str) -> SeriesInfo:
    first = stack.frames[0]
    file = first.file
    between = _slice_distance(stack)
    in_plane = first.pixel_spacing or (0.0, 0.0)
    spacing = (in_plane[1], in_plane[0], between)
    count = len(stack.frames)
    size = f"{file.columns} × {file.rows}, {count} slice{'s' if count > 1 else ''}"
    shown = [f"{length:.3g}" for length in (spacing if count > 1 else spacing[:2]) if length]
    words = [
        file.description or f"series {file.series_number}",
        stack.label,
        file.modality,
        size,
        f"{' × '.join(shown)} mm" if shown else "",
    ]
    return SeriesInfo(
        key=key,
        title=", ".join(word for word in words if word),
        modality=file.modality,
        description=file.description,
        shape=(file.columns, file.rows, count),
        spacing=spacing,
        series_instance_uid=file.series_uid,
        paths=tuple(dict.fromkeys(frame.file.path for frame in stack.frames)),
    )


def _slice_distance(stack: Stack) -> float:
    first, last = stack.frames[0], stack.frames[-1]
    if len(stack.frames) > 1 and is_placed(first):
        ends = np.subtract(last.position or 0, first.position or 0)
        return float(np.linalg.norm(ends)) / (len(stack.frames) - 1)
    return first.slice_spacing or 0.0


def _volume(stack: Stack, info: SeriesInfo, remarks: list[str]) -> Volume:
    first = stack.frames[0]
    file = first.file
    if stack.trouble:
        raise FormatError(
            f"{file.path} and its series cannot be one volume: {stack.trouble}; resample the "
            "series."
        )
    if file.trouble:
        raise FormatError(f"{file.path} {file.trouble}")
    if file.mosaic:
        raise FormatError(
            f"{file.path} holds its slices as tiles of one picture (a Siemens mosaic); convert the "
            "series with dcm2niix."
        )
    geometry, said = place(stack.frames)
    if file.photometric == "MONOCHROME1":
        remarks = [*remarks, "The file means its low values to be shown bright (MONOCHROME1)."]
    array = read_stack(stack.frames)
    if geometry.ndim == 2:
        array = array[0]
    if geometry.oriented:
        array = array.transpose((*range(geometry.ndim)[::-1], *range(geometry.ndim, array.ndim)))
    middle = stack.frames[len(stack.frames) // 2]
    return Volume(
        array,
        geometry,
        source=file.path,
        name=file.description or f"{file.modality or 'DICOM'} series {file.series_number}",
        header=_source(stack, geometry),
        # A single-frame file belongs to one volume; of a multi-frame one, the letter that tells
        # its series from those of other studies is left out, as it means nothing for the file.
        part=info.key.translate(_NO_LETTERS) if file.frames > 1 and "." in info.key else "",
        modality=file.modality,
        window=middle.window,
        warnings=(*remarks, *said),
    )


def _source(stack: Stack, geometry: Geometry) -> DicomSource:
    file = stack.frames[0].file
    frames = tuple(
        DicomFrame(
            path=frame.file.path,
            sop_instance_uid=frame.file.sop_instance_uid,
            number=frame.number,
            position=cast("Any", frame.position),
            orientation=cast("Any", frame.orientation),
            pixel_spacing=cast("Any", frame.pixel_spacing),
        )
        for frame in stack.frames
    )
    return DicomSource(
        frames,
        geometry,
        study_instance_uid=file.study_uid,
        series_instance_uid=file.series_uid,
        frame_of_reference_uid=file.frame_of_reference_uid,
        sop_class_uid=file.sop_class_uid,
        modality=file.modality,
        multiframe=file.multiframe,
    )
