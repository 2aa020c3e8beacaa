"""From the frames of many DICOM files to volumes: one orientation, one size, each place once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .dicom_geometry import (
    coincide,
    directions_of,
    distances,
    is_placed,
    is_regular,
    normal_of,
    regular_runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from numpy.typing import NDArray

    from .dicom_headers import FrameHeader

#: Cosine that directions which mean the same have at least (about 0.3 degrees).
_PARALLEL = 1 - 1e-5

#: Modalities whose files, where they state no position, are pictures by themselves.
_SINGLE_PICTURES = frozenset(
    {"CR", "DX", "MG", "RG", "XA", "RF", "IO", "PX", "ES", "XC", "GM", "SM", "OP", "US"}
)

#: More runs than this are no gaps in a stack but a stack without any regularity.
_MOST_RUNS = 8


@dataclass(frozen=True)
class Stack:
    """Frames of one volume, in the order of its slices.

    Parameters
    ----------
    frames : tuple of FrameHeader
    label : str
        What tells it from the other volumes of its series; empty where there is no other.
    trouble : str
        Why it cannot be a volume; empty where it can.
    """

    frames: tuple[FrameHeader, ...]
    label: str = ""
    trouble: str = ""


def stacks_of(frames: Iterable[FrameHeader]) -> list[Stack]:
    """Sort frames into volumes.

    Series by series; within one, by size and orientation. Where frames coincide, whatever tells
    them apart (echo time, b-value, time point …) makes them several volumes. Where slices are
    missing, or their distance changes, the regular runs are volumes of their own, as nothing is
    made up to fill a gap.

    Parameters
    ----------
    frames : iterable of FrameHeader
        In any order, of any number of series; copies of a file count once.

    Returns
    -------
    list of Stack
        By rising series number. Those that can be no volume are among them and say why.
    """
    series = _grouped(_without_copies(frames), lambda f: (f.file.study_uid, f.file.series_uid))
    ordered = sorted(
        series, key=lambda s: (s[0].file.series_number, s[0].file.study_uid, s[0].file.series_uid)
    )
    return [stack for members in ordered for stack in _split(members)]


def _split(frames: list[FrameHeader]) -> list[Stack]:
    found: list[Stack] = []
    for kind in _grouped(frames, _kind):
        for group in _by_orientation(kind):
            for label, members in _by_marker(group):
                found += _runs(members, label)
    planes = {_plane(stack) for stack in found}
    if len(planes) < 2:
        return found
    return [
        replace(stack, label=", ".join(word for word in (_plane(stack), stack.label) if word))
        for stack in found
    ]


def _kind(frame: FrameHeader) -> Hashable:
    spacing = tuple(round(size, 4) for size in frame.pixel_spacing or ())
    file = frame.file
    return (
        (file.rows, file.columns, file.samples, file.sop_class_uid, spacing, is_placed(frame)),
        # Without positions, the frames of a multi-frame file belong together, and files do not.
        file.path
        if not is_placed(frame) and (file.frames > 1 or file.modality in _SINGLE_PICTURES)
        else "",
    )


def _plane(stack: Stack) -> str:
    if not is_placed(stack.frames[0]):
        return ""
    normal = np.abs(normal_of(stack.frames[0].orientation or ()))
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]


def _without_copies(frames: Iterable[FrameHeader]) -> list[FrameHeader]:
    """Drop frames of files that are copies of others, as folders of exports often hold them."""
    seen: dict[Hashable, FrameHeader] = {}
    for frame in frames:
        uid = frame.file.sop_instance_uid or frame.file.path
        seen.setdefault((uid, frame.number), frame)
    return list(seen.values())


def _by_orientation(frames: list[FrameHeader]) -> list[list[FrameHeader]]:
    if not is_placed(frames[0]):
        return [frames]
    groups: list[list[FrameHeader]] = []
    directions: list[np.ndarray] = []
    for frame in frames:
        rows_columns = directions_of(frame.orientation or ())
        for group, known in zip(groups, directions, strict=True):
            if ((rows_columns * known).sum(axis=1) >= _PARALLEL).all():
                group.append(frame)
                break
        else:
            groups.append([frame])
            directions.append(rows_columns)
    return groups


def _by_marker(frames: list[FrameHeader]) -> list[tuple[str, list[FrameHeader]]]:
    """Split frames at the same places into volumes, by as few attributes as tell them apart."""
    frames = _sorted(frames if is_placed(frames[0]) else sorted(frames, key=_order))
    if not _coincide(frames):
        return [("", frames)]
    words = sorted({word for f in frames for word in f.markers}, key=_rank(frames))
    for count in (1, 2, 3):
        for chosen in combinations(words, count):
            groups = _grouped(frames, lambda f, c=chosen: _values(f, c))  # type: ignore[misc]
            groups.sort(key=lambda g: [_natural(v) for v in _values(g[0], chosen)])
            if len(groups) > 1 and not any(_coincide(group) for group in groups):
                return [(_said(chosen, group[0]), group) for group in groups]
    return [(f"volume {n + 1}", group) for n, group in enumerate(_nth_at_each_place(frames))]


def _rank(frames: list[FrameHeader]) -> Callable[[str], int]:
    """Attributes in the order in which the headers list them, most telling first."""
    order = list(dict.fromkeys(word for frame in frames for word in frame.markers))
    return order.index


def _values(frame: FrameHeader, words: Sequence[str]) -> tuple[str, ...]:
    return tuple(frame.markers.get(word, "") for word in words)


def _said(words: Sequence[str], frame: FrameHeader) -> str:
    named = []
    for word, value in zip(words, _values(frame, words), strict=True):
        value = value.translate(str.maketrans("", "", "[]'")).replace(", ", "\\")
        if word == "kind":
            value = "\\".join(value.split("\\")[2:])
        unit = {"echo time": " ms", "trigger time": " ms", "b-value": " s/mm²"}.get(word, "")
        named.append(f"{word} {value or 'not stated'}{unit if value else ''}")
    return ", ".join(named)


def _natural(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value


def _nth_at_each_place(frames: list[FrameHeader]) -> list[list[FrameHeader]]:
    """Split sorted frames into volumes by the order of their numbers at each place."""
    along = _along(frames)
    places = [[frames[0]]]
    for n in range(1, len(frames)):
        if not coincide(along[n - 1 : n + 1]):
            places.append([])
        places[-1].append(frames[n])
    volumes: dict[int, list[FrameHeader]] = defaultdict(list)
    for place in places:
        for n, frame in enumerate(sorted(place, key=_order)):
            volumes[n].append(frame)
    return list(volumes.values())


def _runs(frames: list[FrameHeader], label: str) -> list[Stack]:
    whole = Stack(tuple(frames), label)
    if not is_placed(frames[0]):
        return [whole]
    along = distances(frames)
    runs = regular_runs(along)
    if len(runs) == 1 and is_regular(along):
        return [whole]
    if len(runs) > _MOST_RUNS or not all(is_regular(along[run]) for run in runs):
        return [replace(whole, trouble="the distance of its slices changes again and again")]
    return [Stack(tuple(frames[run]), _said_run(label, run, len(frames))) for run in runs]


def _said_run(label: str, run: slice, count: int) -> str:
    one = run.stop - run.start == 1
    words = f"slice {run.stop}" if one else f"slices {run.start + 1} to {run.stop}"
    rest = f"{words} of {count} at uneven distances"
    return f"{label}, {rest}" if label else rest


def _sorted(frames: list[FrameHeader]) -> list[FrameHeader]:
    along = _along(frames)
    return [frames[n] for n in sorted(range(len(frames)), key=lambda n: (along[n], n))]


def _coincide(frames: list[FrameHeader]) -> bool:
    return coincide(np.sort(_along(frames)))


def _along(frames: list[FrameHeader]) -> NDArray[np.float64]:
    """Where frames lie along their normal, mm; where they do not say, by their slice numbers.

    Frames without either are in their order, each at a place of its own.
    """
    if is_placed(frames[0]):
        return distances(frames)
    numbers = [frame.slice_number for frame in frames]
    return np.array(range(len(frames)) if None in numbers else numbers, float)


def _order(frame: FrameHeader) -> tuple[int, str, int]:
    return frame.file.instance_number, frame.file.path, frame.number


def _grouped(
    frames: Iterable[FrameHeader], key: Callable[[FrameHeader], Hashable]
) -> list[list[FrameHeader]]:
    groups: dict[Hashable, list[FrameHeader]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.values())
