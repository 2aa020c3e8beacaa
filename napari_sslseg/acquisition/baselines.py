"""Strategies to compare with, and simple ones to fall back on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .content import Content
from .evidence import REGION_WEIGHTS, Evidence
from .influence import distance_to_known
from .strategy import Strategy, evenly

Reals = npt.NDArray[np.float64]


class Uniform(Strategy):
    """The slice farthest from all known ones: the largest gap is halved.

    Of slices equally far, one beyond the outermost known slice comes first, as labels are carried
    to it from one side only; then the one nearest to the middle.
    """

    name: ClassVar[str] = "uniform"
    blind: ClassVar[bool] = True

    def scores(self, evidence: Evidence) -> Reals:
        """Return the distance from what is known, in slices, as a share of the volume's depth.

        Half a slice more beyond the outermost known slices.
        """
        distance = distance_to_known(evidence.depth, evidence.known)
        if evidence.known:
            slices = np.arange(evidence.depth)
            outside = (slices < min(evidence.known)) | (slices > max(evidence.known))
            distance = distance + 0.5 * outside  # distances are whole: this only decides ties
        return distance / max(evidence.depth, 1)


class Random(Strategy):
    """Any slice, each alike.

    Parameters
    ----------
    seed : int
        Of a generator of its own: each call of `first` or `scores` draws anew.
    """

    name: ClassVar[str] = "random"
    blind: ClassVar[bool] = True

    def __init__(self, seed: int = 0) -> None:
        self._generator = np.random.default_rng(seed)

    def first(self, content: Content, wanted: int) -> list[int]:
        """Draw slices among those that show something."""
        low, high = content.shown()
        drawn = low + self._generator.permutation(high - low + 1)[:wanted]
        return [int(z) for z in drawn]

    def scores(self, evidence: Evidence) -> Reals:
        """Draw a number from [0, 1) for each slice."""
        return self._generator.random(evidence.depth)


class Uncertainty(Strategy):
    """The slice with the largest expected number of wrong voxels, whatever lies around it."""

    name: ClassVar[str] = "uncertainty"

    def scores(self, evidence: Evidence) -> Reals:
        """Return the expected number of wrong voxels of each slice, by the voxels of the object."""
        return evidence.expected_errors() / evidence.object_size()


class Region(Strategy):
    """The slice with the largest suspicious area, by MetaSSL's regions, far from known slices.

    Parameters
    ----------
    weights : sequence of float
        Weight of a voxel without a region, and of UC, US, DC and DS.
    """

    name: ClassVar[str] = "region"

    def __init__(self, weights: tuple[float, ...] = REGION_WEIGHTS) -> None:
        self._weights = np.asarray(weights, dtype=float)

    def scores(self, evidence: Evidence) -> Reals:
        """Return the weighted voxels of each slice by those of the object, fewer near known slices.

        At d slices from the nearest known one they count by ``1 - exp(-d / 2)``.
        """
        area = evidence.regions @ self._weights
        distance = distance_to_known(evidence.depth, evidence.known)
        return np.asarray(area * (1 - np.exp(-distance / 2.0)) / evidence.object_size())


class CoreSet(Strategy):
    """The slice least like any known one: greedy k-centre (Sener and Savarese, ICLR 2018).

    Slices are compared by their descriptors; where there are none, by their place.
    """

    name: ClassVar[str] = "coreset"
    blind: ClassVar[bool] = True

    def first(self, content: Content, wanted: int) -> list[int]:
        """Begin in the middle of what is shown, go on with what is least like all chosen ones.

        Likeness is the Euclidean distance of descriptors; parameters as of `Strategy.first`.
        """
        low, high = content.shown()
        chosen = evenly(low, high, 1)
        while chosen and len(chosen) < min(wanted, high - low + 1):
            distance = _distance(content.descriptors, chosen)
            inside = np.arange(low, high + 1)
            inside = np.setdiff1d(inside, chosen)
            chosen.append(int(inside[distance[inside].argmax()]))
        return chosen

    def scores(self, evidence: Evidence) -> Reals:
        """Return the Euclidean distance of each slice's descriptor to the nearest of a known slice.

        Without descriptors, or where nothing is known, the distance in slices by the depth.
        """
        if evidence.descriptors is None or not evidence.known:
            return distance_to_known(evidence.depth, evidence.known) / max(evidence.depth, 1)
        return _distance(evidence.descriptors, list(evidence.known))


def _distance(descriptors: Reals, known: list[int]) -> Reals:
    nearest = np.full(len(descriptors), np.inf)
    for z in known:
        np.minimum(nearest, ((descriptors - descriptors[z]) ** 2).sum(axis=1), out=nearest)
    return np.asarray(np.sqrt(nearest))
