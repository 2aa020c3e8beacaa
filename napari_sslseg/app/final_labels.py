"""The mask to export: the user's latest word, else a proposal; and what of it came from where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..formats.provenance import ORIGINS, count_origins
from ..volume.annotation import NOT_ANNOTATED, latest, reference_slices

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import AcceptedSlice
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

#: Times that the mask is made afresh because the user went on painting meanwhile.
_TRIES = 5

_UNLABELLED, _INKED, _ACCEPTED, _CORRECTED, _PROPOSED = range(len(ORIGINS))


@dataclass
class FinalLabels:
    """A mask in display order, and how many voxels of each class came from where.

    Parameters
    ----------
    labels : ndarray of uint8
    origins : dict of int to ndarray
        As `formats.provenance.count_origins` returns it.
    references, accepted : list of int
        Wholly annotated slices along the slicing axis, and those of them that were accepted.
    """

    labels: npt.NDArray[np.uint8]
    origins: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    references: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)


def labels_maker(
    references: ReferenceLayer,
    proposal: ProposalLayer | None,
    shelf: ProposalShelf | None = None,
) -> Callable[[], npt.NDArray[np.uint8]]:
    """Return a function that makes the mask, for a thread.

    The mask is that of the layers as they are now: a newer version of the proposal that comes in
    meanwhile is not in it. It is made again when a stroke was painted meanwhile, so that a stroke
    is in it as a whole or not at all (unless the user paints without a pause).
    """
    make = final_maker(references, proposal, shelf=shelf)
    return lambda: make().labels


def final_maker(
    references: ReferenceLayer,
    proposal: ProposalLayer | None,
    accepted: Sequence[AcceptedSlice] = (),
    axis: int = 0,
    shelf: ProposalShelf | None = None,
) -> Callable[[], FinalLabels]:
    """Return a function that makes the mask and counts origins, for a thread; as `labels_maker`.

    Parameters
    ----------
    accepted : sequence of AcceptedSlice
        Slices that the user accepted as a whole. Those that no longer are whole do not count.
    axis : int
        Slicing axis.
    shelf : ProposalShelf, optional
        Of those of its proposals that are not in view, corrections over ink count, being later. Of
        those that cannot be brought into view, as they are damaged or their layer was deleted, all
        corrections count.
    """
    ink = references.ink
    base = proposal.layer.data if proposal is not None else None
    mine = proposal.corrections() if proposal is not None else None
    gone = [] if shelf is None else shelf.gone()
    layers = [] if shelf is None else [one for one in shelf.all() if one is not proposal]
    theirs = [(layer.corrections(), layer in gone) for layer in layers]
    places = [(row.axis, row.index) for row in accepted]

    def serial() -> tuple[int, ...]:
        own = () if proposal is None else (proposal.serial,)
        return references.serial, *own, *(layer.serial for layer in layers)

    def make() -> FinalLabels:
        final = FinalLabels(np.zeros_like(ink))
        for _ in range(_TRIES):
            before = serial()
            whole = [place for place in places if _is_whole(ink, *place)]
            final.references = reference_slices(ink, axis)
            final.accepted = sorted({index for along, index in whole if along == axis})
            final.origins = {}
            # Slab by slab, so that nothing but the mask itself needs memory.
            for z in range(ink.shape[0]):
                codes = np.full(ink[z].shape, _UNLABELLED, dtype=np.uint8)
                slab, corrected = np.zeros_like(ink[z]), np.zeros(ink[z].shape, dtype=bool)
                if base is not None and mine is not None:
                    slab, corrected = base[z], mine[z] != NOT_ANNOTATED
                    codes = np.where(corrected, _CORRECTED, _PROPOSED).astype(np.uint8)
                said = ink[z]
                for other, alone in theirs:
                    word = other[z]
                    heard = (word != NOT_ANNOTATED) & (alone | (ink[z] != NOT_ANNOTATED))
                    said = np.where(heard, word, said)
                final.labels[z] = latest(said, slab, corrected)
                codes[said != ink[z]] = _CORRECTED
                stated = ink[z] == final.labels[z]
                codes[stated] = _INKED
                codes[stated & _on_slices(whole, z, codes.shape)] = _ACCEPTED
                for class_id, counts in count_origins(final.labels[z][None], codes[None]).items():
                    final.origins[class_id] = final.origins.get(class_id, 0) + counts
            if serial() == before:
                break
        return final

    return make


def _is_whole(ink: npt.NDArray[np.uint8], axis: int, index: int) -> bool:
    if axis >= ink.ndim or not 0 <= index < ink.shape[axis]:
        return False
    return bool((np.moveaxis(ink, axis, 0)[index] != NOT_ANNOTATED).all())


def _on_slices(
    slices: list[tuple[int, int]], z: int, shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Return which voxels of slab `z` along the first axis lie on any of the slices."""
    found = np.zeros(shape, dtype=bool)
    for axis, index in slices:
        if axis == 0:
            found |= index == z
        else:
            np.moveaxis(found, axis - 1, 0)[index] = True
    return found
