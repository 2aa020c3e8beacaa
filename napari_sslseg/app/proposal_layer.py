"""A proposal as an editable layer, and what the user has changed in it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning
from psygnal import Signal

from ..acquisition.evidence import chance_of_error
from ..volume.annotation import NOT_ANNOTATED, Corrections, corrected
from ..volume.proposal import REGION_NAMES, neighbourhood_slab
from .layer_edits import follow_edits
from .layer_roles import forget_history, placement, role_metadata
from .own_array import OwnArray
from .palette import proposal_colormap
from .reference_layer import class_features
from .region_view import RegionArray
from .spoken import Overlay, Spoken, overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from ..volume.classes import ClassTable
    from ..volume.inkstore import InkStore
    from ..volume.proposal import Proposal

    Positions = npt.NDArray[np.integer]


#: Of areas, through which the image is seen.
_OPACITY = 0.5

# Outlines are what is drawn by default; in three dimensions napari draws areas, and would say so
# with each turn of the view.
warnings.filterwarnings("ignore", message="Contours are not displayed during 3D rendering")


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


@dataclass(frozen=True)
class _Shown:
    """A version and its array. One object, so that threads see all of a version or of another."""

    version: int
    proposal: Proposal
    edited: npt.NDArray[np.uint8]
    said: npt.NDArray[np.bool_]


class ProposalLayer:
    """The labels layer of one proposal.

    The layer's array always holds plain class ids. `proposed` is what the machine said; wherever
    the two differ, or the user's strokes went, is a correction, which outlives the next version.

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
    words : Overlay
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
        words: Overlay,
    ) -> None:
        self.slug, self.name = proposal.slug, proposal.name
        self.store = store
        #: Label values of the corrections of earlier sessions.
        self.known_ids = words.ids
        self._shown = _Shown(version, proposal, words.data, words.said)
        # Neighbourhood of the objects in each slab, as bits; None where there is none.
        self._near: tuple[npt.NDArray[np.uint8], list[npt.NDArray[np.uint8] | None]] | None = None
        self.serial = 0
        self.opacity: dict[int, float] = {}
        self.layer: Labels = viewer.add_labels(
            words.data,
            name=proposal.name,
            opacity=_OPACITY,
            colormap=proposal_colormap(classes),
            metadata=role_metadata(image, proposal.slug),
            features=class_features(classes),
            **placement(image),
        )
        self.layer.selected_label = classes.ids[0] if len(classes) else 1
        self._label = self.layer.selected_label
        self.layer.events.selected_label.connect(self._on_label)
        #: Told where a plugin wrote into the layer, some places at a time (`History.written_over`).
        self.replaced: Callable[[Iterable[Positions]], object] = lambda where: None
        self._own = OwnArray(self.layer, self._on_edit, lambda where: self.replaced(where))
        #: Draws the layer as it is to be seen now.
        self.redraw = follow_edits(viewer, self.layer, self._on_edit)

    @property
    def version(self) -> int:
        """Number of the version."""
        return self._shown.version

    @property
    def info(self) -> Mapping[str, Any]:
        """What is known of the version."""
        return self._shown.proposal.info

    @property
    def proposed(self) -> npt.NDArray[np.uint8]:
        """What the machine said."""
        return self._shown.proposal.classes

    @property
    def regions(self) -> npt.NDArray[np.uint8]:
        """MetaSSL's regions of that."""
        return self._shown.proposal.regions

    @property
    def confidence(self) -> npt.NDArray[np.uint8]:
        """Confidence in that."""
        return self._shown.proposal.confidence

    def corrections(self) -> Corrections:
        """Return the user's word on the proposal, 255 elsewhere; found slice by slice."""
        shown = self._shown
        return Corrections(shown.edited, shown.proposal.classes, shown.said)

    @staticmethod
    def prepare(proposal: Proposal, store: InkStore) -> Overlay:
        """Lay the corrections of an earlier session over a proposal; safe in a worker thread."""
        return overlay(proposal.classes, None if store.blank else store.load())

    def merge(self, proposal: Proposal) -> tuple[Overlay, int]:
        """Prepare a new version: its classes under the user's corrections.

        Safe in a worker thread. The last value is the `serial` it was made from; if the user
        has edited meanwhile, it must be made again.
        """
        serial = self.serial
        self.store.save(self.corrections())
        return self.prepare(proposal, self.store), serial

    def replace(self, proposal: Proposal, version: int, words: Overlay) -> None:
        """Show a new version that `merge` prepared. The undo history starts anew."""
        self._shown = _Shown(version, proposal, words.data, words.said)
        self._own.become(words.data)
        forget_history(self.layer)

    def speak(self, positions: Positions | None) -> list[Spoken]:
        """Take what stands at places of a step as the user's word, changed by it or not.

        Parameters
        ----------
        positions : ndarray of int or None
            In the array laid flat. None where they are not known: what changed counts all the same.

        Returns
        -------
        list
            What goes with the step, to be undone and done again with it.
        """
        if positions is None:
            return []
        said = self._shown.said.reshape(-1)
        new = positions[~said[positions]]
        if not new.size:
            return []
        made = Spoken(said, new, self.touch)
        made.redo()
        return [made]

    def set_classes(self, classes: ClassTable, opacity: Mapping[int, float] | None = None) -> None:
        """Show another class table, each class as opaque as given."""
        self.opacity = dict(opacity or {})
        self.layer.colormap = proposal_colormap(classes, opacity)
        self.layer.features = class_features(classes)

    def outline(self, width: int) -> None:
        """Draw outlines, of so many voxels, instead of areas; 0 for areas.

        Outlines are opaque, for their colours to be those of the classes over any other.
        """
        if self.layer.contour == width:
            return
        if bool(self.layer.contour) != bool(width):
            self.layer.opacity = 1.0 if width else _OPACITY
        self.layer.contour = width

    def count_open(
        self,
        axis: int,
        ink: npt.NDArray[np.uint8],
        rest: Callable[[], object] = lambda: None,
    ) -> OpenCount:
        """Count regions where neither corrected nor inked, and corrections; for a thread.

        `rest` is called between slabs, to wait while the processor is wanted for something else.
        """
        shown = self._shown
        edited, said, proposed = shown.edited, shown.said, shown.proposal.classes
        regions, confidence = shown.proposal.regions, shown.proposal.confidence
        if self._near is None or self._near[0] is not proposed:
            slabs = (neighbourhood_slab(proposed, z) for z in range(proposed.shape[0]))
            self._near = (proposed, [np.packbits(s) if s.any() else None for s in slabs])
        near = self._near[1]
        counts = np.zeros((regions.shape[axis], 5), dtype=np.int64)
        spoken = np.zeros(regions.shape[axis], dtype=np.int64)
        areas = np.zeros(regions.shape[axis], dtype=np.int64)
        doubt = np.zeros(regions.shape[axis])
        judged = np.zeros(5, dtype=np.int64)
        # Slab by slab, as the arrays lie in memory: this runs after every stroke.
        for z in range(regions.shape[0]):
            rest()
            changed = corrected(edited[z], proposed[z], said[z])
            closed = (ink[z] != NOT_ANNOTATED) | changed
            if axis == 0:
                spoken[z] = np.count_nonzero(changed)
            else:
                spoken += np.count_nonzero(changed, axis=2 - axis)
            slab = np.where(closed, np.uint8(0), regions[z])
            wrong = chance_of_error(np.where(closed, np.uint8(255), confidence[z]))
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
        return OpenCount(axis, counts, spoken, shares, doubt, areas)

    def open_regions(self, ink: npt.NDArray[np.uint8]) -> RegionArray:
        """Return the regions where neither corrected nor inked, computed as they are looked at."""
        shown = self._shown
        classes, regions = shown.proposal.classes, shown.proposal.regions
        return RegionArray(shown.edited, classes, regions, shown.said, ink)

    def slice_of(
        self, axis: int, index: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Classes of a slice as they stand, and where the user corrected them."""
        edited, proposed, said = (np.moveaxis(array, axis, 0)[index] for array in self.arrays())
        return edited, corrected(edited, proposed, said)

    def arrays(
        self,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return the live array, what was proposed, and where strokes went, of one version."""
        shown = self._shown
        return shown.edited, shown.proposal.classes, shown.said

    @property
    def flat(self) -> npt.NDArray[np.uint8]:
        """The live array, laid flat; a view."""
        return self._shown.edited.reshape(-1)

    def corrected_at(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Whether the user changed the proposal, for places in the array laid flat."""
        return corrected(*(array.reshape(-1)[positions] for array in self.arrays()))

    def write_at(self, positions: npt.NDArray[np.integer], values: npt.NDArray[np.uint8]) -> None:
        """Write at places in the array laid flat, on the user's word; no step of its own."""
        if positions.size:
            self.flat[positions] = values
            self.layer.refresh(thumbnail=False, extent=False)
            self.touch()

    def touch(self) -> None:
        """Take note that voxels have changed: a hidden layer of napari says nothing."""
        self._on_edit()

    def _on_edit(self) -> None:
        self.serial += 1
        self.edited.emit()

    def _on_label(self, event: Any = None) -> None:
        """Refuse the label that says in References that nothing is said: here it says nothing."""
        if self.layer.selected_label != NOT_ANNOTATED:
            self._label = self.layer.selected_label
            return
        self.layer.selected_label = self._label
        show_warning(
            f"“{self.name}” cannot be painted with label {NOT_ANNOTATED}, which means “Not "
            "annotated” and only in References."
        )
