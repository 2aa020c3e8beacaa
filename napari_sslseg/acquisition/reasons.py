"""Why a slice is suggested, in words."""

from __future__ import annotations

import numpy as np

from ..volume.geometry import Geometry
from ..volume.letters import direction_letters
from .evidence import Evidence
from .influence import distance_to_known

_END_NAMES = {
    "R": "right end",
    "L": "left end",
    "A": "anterior end",
    "P": "posterior end",
    "S": "superior end",
    "I": "inferior end",
}

#: Part of the object's slices, at either side, that counts as its end.
_END_SHARE = 0.15

#: Unsure voxels, as a part of the object's largest slice, from which an area is called large, and
#: below which it is called small.
_LARGE, _SMALL = 0.25, 0.05


def end_names(geometry: Geometry, axis: int) -> tuple[str, str]:
    """Return what lies at the first and at the last slice, such as ``("inferior end", ...)``.

    Parameters
    ----------
    geometry : Geometry
        Of the volume.
    axis : int
        Slicing axis, in the order of the array.

    Returns
    -------
    tuple of str
        Both empty where the directions are not known, or there is no such axis.
    """
    if not geometry.oriented or not 0 <= axis < len(geometry.shape):
        return "", ""
    up = geometry.affine[:3, axis]
    first, last = direction_letters(-up)[:1], direction_letters(up)[:1]
    return _END_NAMES.get(first, ""), _END_NAMES.get(last, "")


def reason_for(evidence: Evidence, index: int) -> str:
    """Say what there is to mend in a slice, where it is, and how far from what is known.

    Parameters
    ----------
    evidence : Evidence
        Of the volume.
    index : int
        The slice; in [0, depth).

    Returns
    -------
    str
        To follow "Slice 12:"; without a capital or a full stop.

    Raises
    ------
    IndexError
        When there is no such slice.
    """
    parts = [_what(evidence, index)]
    where = _where(evidence, index)
    if where:
        parts[0] += f" {where}"
    if evidence.known:
        distance = int(distance_to_known(evidence.depth, evidence.known)[index])
        plural = "slice" if distance == 1 else "slices"
        parts.append(f"{distance} {plural} from the nearest known one")
    else:
        parts.append("nothing is labelled yet")
    return ", ".join(parts)


def _what(evidence: Evidence, index: int) -> str:
    unsure = int(evidence.regions[index, 2])
    disputed = int(evidence.regions[index, 3] + evidence.regions[index, 4])
    if not evidence.regions[:, 1:].any():
        return "trust unknown"  # as of labels that were imported
    if not unsure and not disputed:
        return "little doubt"
    voxels = max(unsure, disputed)
    usual = float(evidence.areas.max()) if evidence.areas is not None else 0.0
    if not usual:
        size = ""
    elif voxels > _LARGE * usual:
        size = "large "
    else:
        size = "small " if voxels < _SMALL * usual else ""
    count = f"{voxels} voxel" + ("" if voxels == 1 else "s")
    if disputed >= unsure:
        return f"{size}area where the predictions disagree ({count})"
    return f"{size}suspicious area that both predictions are unsure of ({count})"


def _where(evidence: Evidence, index: int) -> str:
    shown = np.flatnonzero(evidence.areas) if evidence.areas is not None else np.zeros(0, int)
    low, high = (int(shown[0]), int(shown[-1])) if shown.size else (0, evidence.depth - 1)
    first, last = evidence.ends
    if index < low:
        return f"past the proposed object, towards the {first or 'first slices'}"
    if index > high:
        return f"past the proposed object, towards the {last or 'last slices'}"
    margin = _END_SHARE * (high - low + 1)
    if index - low < margin:
        return f"near the {first or 'first slices'} of the object"
    if high - index < margin:
        return f"near the {last or 'last slices'} of the object"
    return ""
