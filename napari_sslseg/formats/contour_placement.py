"""Contours of a structure set on the slices of an image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dicom_attributes import text_of
from .dicom_geometry import LARGEST_DEVIATION
from .dicom_opening import is_dicom, read_dataset
from .dicom_rtstruct_reader import read_structure_set
from .dicom_series import DicomSource
from .errors import FormatError
from .grids import with_slice_axis
from .polygon_fill import filled, on_centres
from .region_choice import chosen
from .region_masks import RegionMask, RegionSlice, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ..volume.geometry import Geometry
    from ..volume.image import Volume
    from .dicom_rtstruct_reader import StructureRegion

    Points = NDArray[np.float64]

#: Millimetres that a plane may be off its slice besides: planning systems write tenths.
_ROUNDED = 0.05

#: How many times as far apart as slices planes must be, or slices as planes, to have been drawn on
#: other slices.
_OTHER_DISTANCE = 1.5

#: Voxels from first to last corner across which a contour is a plane at most.
_MOST_UNEVEN = 0.5

#: Voxels that a contour may reach beyond the outermost centres without being cut.
_MARGIN = 0.51

#: Voxels by which rounded positions differ.
_TIE = 0.01

#: What the outline of all of the patient is called where no type says so.
_BODIES = ("body", "external")

#: Why contours are on no slice.
_BETWEEN = "between the slices of the image"
_BEYOND = "beyond the image"
_ACROSS = "across the slices of the image, as if drawn on others"


@dataclass
class _Tally:
    """What did not come in, by reason and region."""

    missed: dict[str, Counter[str]] = field(default_factory=dict)
    #: Millimetres that planes drawn on other slices are off the nearest ones, by region.
    moved: dict[str, float] = field(default_factory=dict)

    def count(self, reason: str, name: str, number: int = 1) -> None:
        if number:
            self.missed.setdefault(reason, Counter())[name] += number

    def names(self, reason: str) -> list[str]:
        return list(self.missed.get(reason, ()))


def place_regions(
    path: Path, geometry: Geometry, frame: str, wanted: Sequence[str] | None = None
) -> tuple[list[RegionMask], tuple[str, ...]]:
    """Read a structure set onto the grid of an image.

    Parameters
    ----------
    path : Path
        Of the structure set.
    geometry : Geometry
        Of the image.
    frame : str
        Its `frame_of_reference`.
    wanted : sequence of str, optional
        Names of the regions to read; all by default.

    Returns
    -------
    list of RegionMask
        In the order of the file, or in which they are wanted, without those that have no voxel in
        the image. Slices of a plane are those of a stack of one.
    tuple of str
        One sentence for each thing that the user ought to know.

    Raises
    ------
    FormatError
        If the file cannot be read, the image does not say where it lies, no contour lies on
        any of its slices, or there is no region of a name.
    """
    if not geometry.oriented or geometry.units == "pixel":
        raise FormatError(
            f"The image does not say where it lies in the patient, so that the contours of {path} "
            "cannot be put in their place; open the DICOM images that they were drawn on."
        )
    onto = with_slice_axis(geometry).in_millimetres()
    there = read_structure_set(path)
    if wanted is not None:
        there = tuple(there[n] for n in chosen(path, [row.name for row in there], wanted))
    regions, remarks = _of_this_space(there, frame)
    tally = _Tally()
    found = []
    reach = _reach(regions, onto)
    for region in regions:
        tally.count("others", region.name, region.others)
        usual = _usual_axis(chain((region,), regions), onto)
        slices = _slices(region, onto, usual, reach, tally)
        if slices:
            is_body = region.kind == "EXTERNAL" or region.name.casefold() in _BODIES
            found.append(RegionMask(region.name, region.color, is_body, slices))
    if not found:
        reasons = [why for why in (_BETWEEN, _BEYOND, _ACROSS) if why in tally.missed]
        rest = "they are smaller than a voxel" if "small" in tally.missed else "they bound no area"
        where = f"they lie {' or '.join(reasons)}" if reasons else rest
        raise FormatError(
            f"{path} has no contour on a slice of the image: {where}; open the images that it was "
            "drawn on."
        )
    empty = [r.name for r in regions if not r.contours and not r.others]
    return found, (*remarks, *_said(tally, empty))


def frame_of_reference(volume: Volume) -> str:
    """Return the UID of the space that an image from DICOM is in; empty if it does not say."""
    if isinstance(volume.header, DicomSource):
        return volume.header.frame_of_reference_uid
    if volume.source and is_dicom(volume.source):
        tags = ["FrameOfReferenceUID"]
        try:
            header = read_dataset(volume.source, stop_before_pixels=True, specific_tags=tags)
            return text_of(header, tags[0])
        except Exception:  # damaged since: then nothing is known
            return ""
    return ""


def _of_this_space(
    regions: tuple[StructureRegion, ...], frame: str
) -> tuple[tuple[StructureRegion, ...], list[str]]:
    """Leave out regions that were drawn in another space, if there are others."""
    if not any(region.frame_of_reference for region in regions):
        return regions, [
            "The contours do not say which frame of reference they are in: look whether they fit "
            "the image."
        ]
    drawn = [region for region in regions if region.contours]
    if not frame or all(region.frame_of_reference == frame for region in drawn):
        return regions, []
    own = tuple(region for region in regions if region.frame_of_reference == frame)
    if not any(region.contours for region in own):
        return regions, [
            "The contours are in another frame of reference than the image, so they may have been "
            "drawn on other images: look whether they fit."
        ]
    names = listed([region.name for region in drawn if region.frame_of_reference != frame])
    return own, [f"{names} left out: drawn in another frame of reference than the image's."]


def _usual_axis(regions: Iterable[StructureRegion], onto: Geometry) -> int:
    """Return the axis across the slices of the first contour that leaves no doubt about its own."""
    for contour in (contour for region in regions for contour in region.contours):
        axes = _flat_axes(_indices(contour, onto), onto)
        if len(axes) == 1:
            return int(axes[0])
    return int(np.round(onto.spacing_mm, 3).argmax())  # slices are seldom closer than pixels


def _indices(contour: Points, onto: Geometry) -> Points:
    """Return where in an image the corners of a contour are."""
    to_index = np.linalg.inv(onto.affine)
    points: Points = contour * (-1.0, -1.0, 1.0) @ to_index[:3, :3].T + to_index[:3, 3]
    return points


def _slices(
    region: StructureRegion, onto: Geometry, usual: int, reach: Points, tally: _Tally
) -> tuple[RegionSlice, ...]:
    """Return the slices of an image that a region is outlined on."""
    # Contours by slice, and by how far they are off it.
    planes: dict[tuple[int, int], dict[float, list[Points]]] = {}
    for contour in region.contours:
        points = _indices(contour, onto)
        reason, axis, index, off = _plane_of(points, onto, usual, reach)
        flat = np.delete(points, axis, axis=1)
        if len(flat) < 3 and not on_centres([flat]):
            reason = "others"
        if reason:
            tally.count(reason, region.name)
            continue
        planes.setdefault((axis, index), {}).setdefault(round(off, 2), []).append(flat)
    found = []
    for (axis, index), by_offset in sorted(planes.items()):
        # Planes closer than the slices may share one: the nearest counts, as all would cancel out.
        nearest, *farther = sorted(by_offset, key=abs)
        tally.count(_BETWEEN, region.name, sum(len(by_offset[off]) for off in farther))
        shape = np.delete(onto.shape, axis)
        polygons = by_offset[nearest]
        traced = on_centres(polygons)
        box, mask = filled(polygons, (int(shape[0]), int(shape[1])), traced=traced)
        if not traced:
            tally.count("others", region.name, sum(len(polygon) < 3 for polygon in polygons))
        corners = np.concatenate(polygons)
        if not mask.any():
            inside = ((corners > -_MARGIN) & (corners < shape - 1 + _MARGIN)).all(axis=1).any()
            tally.count("small" if inside else _BEYOND, region.name, len(polygons))
            continue
        if (corners < -_MARGIN).any() or (corners > shape - 1 + _MARGIN).any():
            tally.count("cut", region.name)
        tally.count("traced", region.name, int(traced))
        if abs(nearest) > _slack(onto)[axis]:
            off = abs(nearest) * float(_apart(onto)[axis])
            tally.moved[region.name] = max(off, tally.moved.get(region.name, 0.0))
        found.append(RegionSlice(axis, index, box, mask))
    return tuple(found)


def _apart(onto: Geometry) -> Points:
    """Return millimetres between slices across each axis; less than voxels of sheared axes."""
    apart: Points = 1 / np.linalg.norm(np.linalg.inv(onto.affine[:3, :3]), axis=1)
    return apart


def _slack(onto: Geometry) -> Points:
    """Return how far off a slice across each axis of an image a plane may be."""
    slack: Points = LARGEST_DEVIATION + _ROUNDED / _apart(onto)
    return slack


def _reach(regions: Iterable[StructureRegion], onto: Geometry) -> Points:
    """Return how far off a slice across each axis a plane may be that goes onto it all the same.

    Contours of an image that was sliced anew lie between its slices. Which one is meant is plain
    as long as they are off by little of the distance at which they were drawn. At the distance of
    the slices themselves they are more likely of another image.
    """
    reach = _slack(onto)
    places: dict[int, list[float]] = {}
    for contour in (contour for region in regions for contour in region.contours):
        points = _indices(contour, onto)
        axes = _flat_axes(points, onto)
        if len(axes) == 1:
            places.setdefault(int(axes[0]), []).append(float(points[:, axes[0]].mean()))
    for axis, own in places.items():
        steps = np.diff(np.sort(own))
        steps = steps[steps > reach[axis]]
        if not len(steps):
            continue
        finer, coarser = sorted((1.0, float(steps.min())))
        if coarser > _OTHER_DISTANCE * finer:
            reach[axis] = max(reach[axis], min(finer / 2, coarser / 4) + _TIE)
    return reach


def _flat_axes(points: Points, onto: Geometry) -> NDArray[np.intp]:
    """Return the axes across whose slices a contour may lie, more than one if it is a line."""
    return np.flatnonzero(np.ptp(points, axis=0) <= np.minimum(2 * _slack(onto), _MOST_UNEVEN))


def _plane_of(
    points: Points, onto: Geometry, usual: int, reach: Points
) -> tuple[str, int, int, float]:
    """Return why a contour is on no slice, or an empty text, axis, index, and how far it is off.

    Lines and points, which lie across several axes, are taken across the usual one.
    """
    axes, slack = _flat_axes(points, onto), _slack(onto)
    if not len(axes):
        return _ACROSS, 0, 0, 0.0
    if len(axes) > 1 and usual in axes:
        axis = usual
    else:
        axis = int(axes[(np.ptp(points, axis=0) / slack)[axes].argmin()])
    place = float(points[:, axis].mean())
    # Half way between two slices the first one: rounding errors would decide.
    index = min(max(int(np.ceil(place - 0.5 - _TIE)), 0), onto.shape[axis] - 1)
    if not -0.5 <= place <= onto.shape[axis] - 0.5:
        return _BEYOND, 0, 0, 0.0
    if abs(place - index) > reach[axis]:
        return _BETWEEN, 0, 0, 0.0
    return "", axis, index, place - index


def _said(tally: _Tally, empty: list[str]) -> list[str]:
    """Return what did not come in, in sentences."""
    said = []
    for reason in (_BETWEEN, _BEYOND, _ACROSS):
        if names := tally.names(reason):
            count = sum(tally.missed[reason].values())
            one = count == 1
            contours = f"{count} contour{'' if one else 's'} of {listed(names)}"
            said.append(f"{contours} left out: {'it lies' if one else 'they lie'} {reason}.")
    if tally.moved:
        off = max(tally.moved.values())
        said.append(
            f"Contours of {listed(list(tally.moved))} were drawn on slices at another distance: "
            f"each is on the nearest slice of the image, up to {off:.2g} mm off, and slices "
            "without one are not annotated."
        )
    if names := tally.names("others"):
        said.append(f"Points and open lines of {listed(names)} left out: they bound no area.")
    if names := tally.names("small"):
        said.append(f"Contours of {listed(names)} left out: no voxel's centre is inside.")
    if names := tally.names("traced"):
        # Which is right for the border of a mask, but somebody may have drawn on a grid.
        said.append(
            f"Contours of {listed(names)} run from voxel centre to voxel centre: voxels on them "
            "count as inside."
        )
    if names := tally.names("cut"):
        said.append(f"{listed(names)} cut where the image ends.")
    if empty:
        said.append(f"{listed(empty)} left out: nothing is drawn.")
    return said
