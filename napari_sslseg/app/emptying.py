"""Proposals without what lies outside of the object, where the user has said where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.array_files import writable_copy
from ..volume.extent import Extent, object_slices
from ..volume.proposal import Proposal, Region

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import Project
    from .proposal_layer import ProposalLayer
    from .reference_layer import ReferenceLayer
    from .unread import Corrected

Said = tuple[int, Extent]
"""Slicing axis, and what was said of the slices along it."""


class Emptying:
    """Empties the proposals of a session outside of the object, and knows what they were.

    Parameters
    ----------
    project : Project
        Knows what the user said.
    references : ReferenceLayer
    layers : callable
        Returns all proposals that were read, whose corrections count.
    """

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        layers: Callable[[], Sequence[Corrected]],
    ) -> None:
        self._project, self._references, self._layers = project, references, layers
        self._whole: dict[tuple[str, int], Proposal] = {}
        self._emptied_for: dict[tuple[str, int], tuple[Said, Proposal]] = {}
        self._corrected: tuple[int, npt.NDArray[np.bool_]] | None = None

    def take(self, slug: str, version: int, proposal: Proposal) -> Proposal:
        """Empty a proposal that was read from disk; for a thread."""
        self._whole[slug, version] = proposal
        said = self._said()
        axis, extent = said
        found = np.zeros(self._project.info.shape[axis], dtype=bool)
        if extent:
            read = {layer.slug: layer for layer in self._layers()}
            for name in self._project.proposal_slugs():
                if name in read:
                    found |= object_slices(read[name].corrections(), axis)
                else:
                    found |= object_slices(self._project.correction_store(name).stored(), axis)
            self._corrected = axis, found
            found = found | object_slices(self._references.ink, axis)
        result = emptied(proposal, extent.outside(found), axis)
        self._emptied_for[slug, version] = said, result
        return result

    def again(self, layer: ProposalLayer) -> Proposal:
        """Return the version that a layer shows, emptied as is said now; for a thread."""
        return self.take(layer.slug, layer.version, self._whole[layer.slug, layer.version])

    def up_to_date(self, layer: ProposalLayer) -> bool:
        """Whether what a layer shows was emptied for what is said now."""
        said, result = self._emptied_for[layer.slug, layer.version]
        now = self._said()
        same = said == now or not (said[1] or now[1])
        return same and layer.proposed is result.classes

    def forget(self, slug: str, shown: int) -> None:
        """Forget the versions before the one that is shown."""
        for key in [key for key in list(self._whole) if key[0] == slug and key[1] < shown]:
            self._whole.pop(key, None)
            self._emptied_for.pop(key, None)

    def corrected_objects(self) -> npt.NDArray[np.bool_]:
        """Slices (Z,) in which corrections showed the object when this was last looked at."""
        axis, found = self._project.axis, self._corrected
        if found is not None and found[0] == axis:
            return found[1]
        return np.zeros(self._project.info.shape[axis], dtype=bool)

    def _said(self) -> Said:
        return self._project.axis, self._project.extent


def emptied(proposal: Proposal, outside: npt.NDArray[np.bool_], axis: int) -> Proposal:
    """Return a proposal that is sure background outside; its arrays are copied where they change.

    Parameters
    ----------
    proposal : Proposal
    outside : ndarray of bool, shape (Z,)
        Slices along the axis.
    axis : int
    """
    if not outside.any():
        return proposal
    arrays: dict[str, Any] = {}
    for name, value in (("classes", 0), ("regions", Region.UC), ("confidence", 255)):
        array = writable_copy(getattr(proposal, name))
        for index, slab in enumerate(array):
            where = np.full(slab.shape, axis == 0 and outside[index])
            if axis:
                np.moveaxis(where, axis - 1, 0)[outside] = True
            # Of a mapped file only what is written to takes memory.
            np.copyto(slab, np.uint8(value), where=where & (slab != value))
        arrays[name] = array
    return replace(proposal, **arrays)
