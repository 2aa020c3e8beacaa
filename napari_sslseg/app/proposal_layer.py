"""A proposal as an editable layer, and what the user has changed in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..acquisition.evidence import chance_of_error
from ..volume.annotation import NOT_ANNOTATED, Corrections
from ..volume.array_files import writable_copy
from ..volume.proposal import REGION_NAMES, neighbourhood_slab
from .layer_edits import follow_edits
from .layer_roles import forget_history, placement, role_metadata
from .palette import proposal_colormap
from .reference_layer import class_features
from .region_view import RegionArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from ..volume.classes import ClassTable
    from ..volume.inkstore import InkStore
    from ..volume.proposal import Proposal


@dataclass(frozen=True)
class OpenCount:
    """What is still open in a proposal.

    Parameters
    ----------
    axis : int
        Slicing axis.
    regions : ndarray of int64, shape (Z, 5)
        Voxels of each region in each slice; column 0 is what is closed.
    corrected : ndarray of int64, shape (Z,)
        Voxels that the user changed.
    shares : dict of str to float
        Share of each region in the object's neighbourhood.
    doubt : ndarray, shape (Z,)
        Expected number of wrong voxels among the open ones of each slice.
    areas : ndarray of int64, shape (Z,)
        Voxels of the object in each slice, as it stands.
    """

    axis: int
    regions: npt.NDArray[np.int64]
    corrected: npt.NDArray[np.int64]
    shares: dict[str, float]
    doubt: npt.NDArray[np.float64]
    areas: npt.NDArray[np.int64]


class ProposalLayer:
    """The labels layer of one proposal.

    The layer's array always holds plain class ids. `proposed` is what the machine said;
    wherever the two differ the user has made a correction, which outlives the next version.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Where the layer lies.
    proposal : Proposal
        First version.
    version : int
        Its number in the project.
    classes : ClassTable
    store : InkStore
        Where corrections are kept.
    data, kept
        From `prepare`.
    """

    edited = Signal()
    """Emitted after the layer's voxels may have changed."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        proposal: Proposal,
        version: int,
        classes: ClassTable,
        store: InkStore,
        data: npt.NDArray[np.uint8],
        kept: npt.NDArray[np.uint8] | None,
    ) -> None:
        self.slug, self.name = proposal.slug, proposal.name
        self.store = store
        self.kept = kept
        # Neighbourhood of the objects in each slab, as bits; None where there is none.
        self._near: tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.uint8] | None]] | None = None
        self._take(proposal, version)
        self.stroking = False
        self.serial = 0
        self.opacity: dict[int, float] = {}
        self.layer: Labels = viewer.add_labels(
            data,
            name=proposal.name,
            opacity=0.5,
            colormap=proposal_colormap(classes),
            metadata=role_metadata(image, proposal.slug),
            features=class_features(classes),
            **placement(image),
        )
        self.layer.selected_label = classes.ids[0] if len(classes) else 1
        follow_edits(viewer, self.layer, self._on_edit)
        self.layer.mouse_drag_callbacks.append(self._watch_stroke)

    def corrections(self) -> Corrections:
        """Class where the user changed the proposal, 255 elsewhere; compared slice by slice."""
        return Corrections(self.layer.data, self.proposed, self.kept)

    @staticmethod
    def prepare(
        proposal: Proposal, store: InkStore
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Lay the corrections of an earlier session over a proposal; safe in a worker thread."""
        return _overlay(proposal.classes, None if store.blank else store.load())

    def merge(
        self, proposal: Proposal
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, int]:
        """Prepare a new version: its classes under the user's corrections.

        Safe in a worker thread. The last value is the `serial` it was made from; if the user
        has edited meanwhile, it must be made again.
        """
        serial = self.serial
        self.store.save(self.corrections())
        return *self.prepare(proposal, self.store), serial

    def replace(
        self,
        proposal: Proposal,
        version: int,
        data: npt.NDArray[np.uint8],
        kept: npt.NDArray[np.uint8] | None,
    ) -> None:
        """Show a new version that `merge` prepared. The undo history starts anew."""
        self._take(proposal, version)
        self.kept = kept
        self.layer.data = data
        forget_history(self.layer)

    def set_classes(self, classes: ClassTable, opacity: Mapping[int, float] | None = None) -> None:
        """Show another class table, each class as opaque as given."""
        self.opacity = dict(opacity or {})
        self.layer.colormap = proposal_colormap(classes, opacity)
        self.layer.features = class_features(classes)

    def count_open(
        self,
        axis: int,
        ink: npt.NDArray[np.uint8],
        rest: Callable[[], object] = lambda: None,
    ) -> OpenCount:
        """Count regions where neither corrected nor inked, and corrections; for a thread.

        `rest` is called between slabs, to wait while the processor is wanted for something else.
        """
        edited, proposed, regions = self.layer.data, self.proposed, self.regions
        if self._near is None or self._near[0] is not proposed:
            slabs = (neighbourhood_slab(proposed, z) for z in range(proposed.shape[0]))
            self._near = (proposed, [np.packbits(s) if s.any() else None for s in slabs])
        near = self._near[1]
        counts = np.zeros((regions.shape[axis], 5), dtype=np.int64)
        corrected = np.zeros(regions.shape[axis], dtype=np.int64)
        areas = np.zeros(regions.shape[axis], dtype=np.int64)
        doubt = np.zeros(regions.shape[axis])
        judged = np.zeros(5, dtype=np.int64)
        kept = self.kept
        # Slab by slab, as the arrays lie in memory: this runs after every stroke.
        for z in range(regions.shape[0]):
            rest()
            changed = edited[z] != proposed[z]
            if kept is not None:
                changed |= (kept[z] != NOT_ANNOTATED) & (kept[z] == edited[z])
            closed = (ink[z] != NOT_ANNOTATED) | changed
            if axis == 0:
                corrected[z] = np.count_nonzero(changed)
            else:
                corrected += np.count_nonzero(changed, axis=2 - axis)
            slab = np.where(closed, np.uint8(0), regions[z])
            wrong = chance_of_error(np.where(closed, np.uint8(255), self.confidence[z]))
            if axis == 0:
                doubt[z], areas[z] = wrong.sum(), np.count_nonzero(edited[z])
            else:
                doubt += wrong.sum(axis=2 - axis)
                areas += np.count_nonzero(edited[z], axis=2 - axis)
            if (packed := near[z]) is not None:
                inside = np.unpackbits(packed, count=slab.size).view(bool).reshape(slab.shape)
                judged += np.bincount(slab[inside], minlength=5)[:5]
            if axis == 0:
                counts[z] = np.bincount(slab.ravel(), minlength=5)[:5]
            else:
                for code in range(5):
                    counts[:, code] += np.count_nonzero(slab == code, axis=2 - axis)
        total = max(int(judged[1:].sum()), 1)
        shares = {name: float(judged[code]) / total for code, name in REGION_NAMES.items()}
        return OpenCount(axis, counts, corrected, shares, doubt, areas)

    def open_regions(self, ink: npt.NDArray[np.uint8]) -> RegionArray:
        """Return the regions where neither corrected nor inked, computed as they are looked at."""
        return RegionArray(self.layer.data, self.proposed, self.regions, self.kept, ink)

    def slice_of(
        self, axis: int, index: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Classes of a slice as they stand, and where the user corrected them."""
        edited = np.moveaxis(self.layer.data, axis, 0)[index]
        corrected = edited != np.moveaxis(self.proposed, axis, 0)[index]
        if self.kept is not None:
            kept = np.moveaxis(self.kept, axis, 0)[index]
            corrected |= (kept != NOT_ANNOTATED) & (kept == edited)
        return edited, corrected

    @property
    def flat(self) -> npt.NDArray[np.uint8]:
        """The live array, laid flat; a view."""
        data: npt.NDArray[np.uint8] = self.layer.data.reshape(-1)
        return data

    def corrected_at(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Whether the user changed the proposal, for places in the array laid flat."""
        edited = self.flat[positions]
        found: npt.NDArray[np.bool_] = edited != self.proposed.reshape(-1)[positions]
        if self.kept is not None:
            kept = self.kept.reshape(-1)[positions]
            found |= (kept != NOT_ANNOTATED) & (kept == edited)
        return found

    def write_at(self, positions: npt.NDArray[np.integer], values: npt.NDArray[np.uint8]) -> None:
        """Write at places in the array laid flat, on the user's word; no step of its own."""
        if positions.size:
            self.flat[positions] = values
            self.layer.refresh(thumbnail=False, extent=False)
            self.touch()

    def touch(self) -> None:
        """Take note that voxels have changed: a hidden layer of napari says nothing."""
        self._on_edit()

    def _take(self, proposal: Proposal, version: int) -> None:
        self.version = version
        self.info = proposal.info
        self.proposed = proposal.classes
        self.regions = proposal.regions
        self.confidence = proposal.confidence

    def _on_edit(self) -> None:
        self.serial += 1
        self.edited.emit()

    def _watch_stroke(self, layer: Labels, event: Any) -> Iterator[None]:
        self.stroking = True
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self.stroking = False


def _overlay(
    classes: npt.NDArray[np.uint8], kept: npt.NDArray[np.uint8] | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
    data = writable_copy(classes)
    if kept is None:
        return data, None
    any_kept = False
    for slab, own in zip(data, kept, strict=True):
        inked = own != NOT_ANNOTATED
        if inked.any():
            slab[inked] = own[inked]
            any_kept = True
    return data, kept if any_kept else None
