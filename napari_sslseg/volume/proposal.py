"""A proposal: the machine's mask, with the trust that each voxel of it deserves."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class Region(IntEnum):
    """Region codes of MetaSSL as stored in proposals; 0 = no region (for example inked).

    Those of `methods.regions`, for who reads proposals without torch.
    """

    UC = 1
    US = 2
    DC = 3
    DS = 4


REGION_NAMES = {region.value: region.name for region in Region}

#: In words that a clinician reads. They hold for every proposal: also of one for a volume without
#: labels, where nothing is sure, DC is what may be right and DS what is hardly so.
REGION_MEANINGS = {
    1: "both predictions agree and are sure",
    2: "both predictions agree, but are unsure",
    3: "the predictions disagree, and this one may be right or wrong",
    4: "most likely wrong: another class is likelier than this one",
}

#: What they are called where a user reads of them, and why; a legend has room for no more.
REGION_WORDS = {1: "sure", 2: "unsure", 3: "disagree", 4: "likely wrong"}
REGION_REASONS = {
    1: "predictions agree",
    2: "agree, but weakly",
    3: "may be right or wrong",
    4: "another class is likelier",
}


#: Name of the proposal that imported labels become, the only one that is the application's.
IMPORTED = "Imported"


@dataclass
class Proposal:
    """Masks proposed for a whole volume by one method.

    Parameters
    ----------
    name : str
        What the user sees, for example ``"Reference-guided"``.
    classes : ndarray of uint8
        Class id per voxel, of the image's shape.
    regions : ndarray of uint8
        MetaSSL region per voxel (keys of `REGION_NAMES`; 0 where inked).
    confidence : ndarray of uint8
        Confidence of the proposed class, 0..255 for 0..1.
    info : dict
        JSON values: method, round, model, thresholds, seconds, estimated Dice.
    """

    name: str
    classes: npt.NDArray[np.uint8]
    regions: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    info: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {self.classes.shape, self.regions.shape, self.confidence.shape}
        if len(shapes) != 1:
            raise ValueError(f"The arrays of a proposal must have one shape, not {shapes}.")
        for name in ("classes", "regions", "confidence"):
            if getattr(self, name).dtype != np.uint8:
                raise ValueError(f"The {name} of a proposal must be unsigned 8-bit.")

    @property
    def slug(self) -> str:
        """The name as a folder: lower case, dashes."""
        return proposal_slug(self.name)


def proposal_slug(name: str) -> str:
    """Folder name of a proposal from its shown name: its letters and digits, lower case, dashes."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).lower().split())


#: Voxels by which the foreground is grown to its neighbourhood.
_MARGIN = 3


def object_neighbourhood(classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Box-shaped surroundings of the foreground, in which region shares are counted.

    Far background is trivially right and would drown every share; the neighbourhood is the
    foreground grown by three voxels along each axis.

    Parameters
    ----------
    classes : ndarray of uint8, any shape

    Returns
    -------
    ndarray of bool
        Of the same shape.
    """
    grown = classes > 0
    for axis in range(classes.ndim):
        source = grown.copy()
        for shift in range(1, _MARGIN + 1):
            if shift >= classes.shape[axis]:
                break
            ahead = [slice(None)] * classes.ndim
            behind = [slice(None)] * classes.ndim
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= source[tuple(behind)]
            grown[tuple(behind)] |= source[tuple(ahead)]
    return grown


def neighbourhood_slab(classes: npt.NDArray[np.uint8], index: int) -> npt.NDArray[np.bool_]:
    """Return one index of the first axis of `object_neighbourhood`, from its surroundings alone.

    Parameters
    ----------
    classes : ndarray of uint8, shape (Z, Y, X)
    index : int
        0 to Z - 1.

    Returns
    -------
    ndarray of bool, shape (Y, X)
    """
    seen = classes[max(0, index - _MARGIN) : index + _MARGIN + 1].max(axis=0)
    return object_neighbourhood(seen)


def region_shares(
    regions: npt.NDArray[np.uint8], classes: npt.NDArray[np.uint8]
) -> dict[str, float]:
    """Share of each region among the judged voxels of the object's neighbourhood.

    Parameters
    ----------
    regions : ndarray of uint8
        Keys of `REGION_NAMES`; 0 where nothing was judged, which does not count.
    classes : ndarray of uint8
        Class ids, of the same shape; the object is all that is not 0.

    Returns
    -------
    dict
        ``{"UC": .., "US": .., "DC": .., "DS": ..}``, adding up to 1 (all 0 when nothing
        was judged).
    """
    near = object_neighbourhood(classes)
    return shares_of(np.bincount(regions[near], minlength=5))


def shares_of(counts: npt.NDArray[Any]) -> dict[str, float]:
    """Return the shares of the regions from how many voxels there are of each code, 0 to 4."""
    total = float(counts[1:].sum())
    return {
        name: float(counts[code]) / total if total else 0.0 for code, name in REGION_NAMES.items()
    }
