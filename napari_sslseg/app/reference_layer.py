"""The References layer: the user's ink, the only truth.

Only the user's own gestures write here: strokes with napari's tools, *Mark this slice as
reference*, *Accept slice*. Each is one undo step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..editing.change import Change, slice_places
from ..volume.annotation import NOT_ANNOTATED, SliceState
from ..volume.classes import BACKGROUND, ClassTable
from .layer_edits import follow_edits
from .layer_roles import REFERENCES, forget_history, placement, role_metadata
from .own_array import OwnArray
from .palette import reference_colormap
from .slice_index import SliceIndex, index_slices
from .strokes import mask_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from .background_origin import BackgroundOrigin
    from .history import Companion, History

#: Voxels up to which all slices are looked at without a thread, some milliseconds of work, and up
#: to which a change of all of them can be undone.
_AT_ONCE = 4_000_000


class NotNowError(ValueError):
    """A slice cannot be written as it is; the message says why."""


class StrokeUnderWayError(NotNowError):
    """A slice cannot be written while the user draws on the layer."""


class ReferenceLayer:
    """Ink in a napari labels layer, and the state of each slice.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Where the layer lies.
    ink : ndarray of uint8
        255 = not annotated. The layer edits this array in place.
    classes : ClassTable
    index : SliceIndex
        Of this ink, along the slicing axis.
    history : History
        Where its steps go.
    """

    changed = Signal()
    """Emitted after ink, or the state of any slice, may have changed."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        ink: npt.NDArray[np.uint8],
        classes: ClassTable,
        index: SliceIndex,
        history: History,
    ) -> None:
        self._viewer = viewer
        self._history = history
        self.index = index
        self.serial = self._current = 0
        self._writing = False
        #: Whether what is being written makes slices whole, other than by the user's hand.
        self.filling = False
        #: Corrections in a slice (`LastWord.words_in`), and how its background came to be.
        self.words_in: Callable[[int], npt.NDArray[np.uint8]] | None = None
        self.origin: BackgroundOrigin | None = None
        self.layer: Labels = viewer.add_labels(
            ink,
            name=REFERENCES,
            opacity=0.6,
            colormap=reference_colormap(classes),
            metadata=role_metadata(image, REFERENCES),
            features=class_features(classes, ink=True),
            **placement(image),
        )
        self.layer.selected_label = classes.ids[0] if len(classes) else 1
        written = partial(history.written_over, self.layer)
        self._own = OwnArray(self.layer, self._on_edit, written, NOT_ANNOTATED)
        #: Draws the layer as it is to be seen now.
        self.redraw = follow_edits(viewer, self.layer, self._on_edit)
        history.follow(self.layer, self._on_edit)

    @property
    def ink(self) -> npt.NDArray[np.uint8]:
        """The live array."""
        data: npt.NDArray[np.uint8] = self.layer.data
        return data

    @property
    def axis(self) -> int:
        """Slicing axis."""
        return self.index.axis

    @property
    def states(self) -> npt.NDArray[np.uint8]:
        """State of every slice."""
        return self.index.states

    def set_axis(self, axis: int) -> bool:
        """Slice along another axis from now on.

        Returns
        -------
        bool
            Whether the states are known. If not, the volume is too large to look at here: pass
            `take_index` what `index_slices` finds in a thread.
        """
        known = self.ink.size <= _AT_ONCE
        if known:
            self.index = index_slices(self.ink, axis)
        else:
            count = self.ink.shape[axis]
            nothing = np.full(count, SliceState.EMPTY, dtype=np.uint8)
            self.index = SliceIndex(axis, nothing, np.zeros((count, 256), dtype=bool))
        self._update(self.current_slice())
        return known

    def take_index(self, index: SliceIndex) -> None:
        """Take an index that was made elsewhere, for the slices that are not in view."""
        if index.axis == self.axis and not index.same_as(self.index):
            self.index = SliceIndex(index.axis, index.states.copy(), index.present.copy())
            self._update(self.current_slice())

    def set_classes(self, classes: ClassTable, opacity: Mapping[int, float] | None = None) -> None:
        """Show another class table, each class as opaque as given."""
        self.layer.colormap = reference_colormap(classes, opacity)
        self.layer.features = class_features(classes, ink=True)

    def references(self) -> list[int]:
        """Return the indices of the wholly annotated slices."""
        return [int(i) for i in np.flatnonzero(self.states == SliceState.WHOLE)]

    def partial(self) -> list[int]:
        """Return the indices of the slices that carry some ink only."""
        return [int(i) for i in np.flatnonzero(self.states == SliceState.PARTIAL)]

    def current_slice(self) -> int:
        """Index of the slice in view along the slicing axis; the last one while there is none."""
        if self._viewer.dims.ndim >= 3 and self.layer in self._viewer.layers:
            self._current = slice_in_view(self._viewer, self.layer, self.axis)
        return min(self._current, len(self.states) - 1)

    def slice_ink(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the (H, W) ink of a slice; a live view."""
        return np.moveaxis(self.ink, self.axis, 0)[index]

    def mark(self, index: int) -> int:
        """State that all that is not inked or corrected in a slice is background.

        Corrections of proposals are the user's word already. They become ink, so that the slice
        holds what was said of it last.

        Returns
        -------
        int
            Number of voxels that became ink or are another class now.

        Raises
        ------
        NotNowError
            When a stroke is being drawn, or corrections are still being read; nothing is done.
        """
        ink = self.slice_ink(index)
        words = ink if self.words_in is None else self.words_in(index)
        values = np.where(words == NOT_ANNOTATED, ink, words)
        values[values == NOT_ANNOTATED] = BACKGROUND
        return self._write(index, values, f"marking slice {index} as reference")

    def unmark(self, index: int) -> int:
        """Take back the background that came with a slice being made a reference.

        What was painted in classes, or as background by hand, stays as partial ink, and so does
        background of references along another axis.

        Raises
        ------
        NotNowError
            When there is none, a stroke is being drawn, or what was painted is still being read;
            nothing is done.
        """
        ink = self.slice_ink(index)
        taken = ink == BACKGROUND
        if self.origin is not None:
            taken &= ~self.origin.stays(self.axis, index)
        if not taken.any():
            raise NotNowError(
                "Nothing was changed: you painted this slice by hand. Choose “Not annotated” and "
                "paint over what you want to take back."
            )
        values = np.where(taken, np.uint8(NOT_ANNOTATED), ink)
        also = () if self.origin is None else self.origin.opened(self.axis, index)
        return self._write(index, values, f"taking slice {index} from the references", also)

    def write_slice(
        self,
        index: int,
        values: npt.NDArray[np.uint8],
        text: str,
        also: Iterable[Companion] = (),
        said: npt.NDArray[np.bool_] | None = None,
    ) -> int:
        """Write a whole slice on the user's word (*Accept slice*), as one undo step.

        Parameters
        ----------
        index : int
            Slice along the slicing axis.
        values : ndarray of uint8, shape (H, W)
        text : str
            What it is, as it reads after "Undo: ".
        also : iterable of Companion, optional
            What goes with it; it makes a step even where no voxel changes.
        said : ndarray of bool, shape (H, W), optional
            What the user has spoken of, where that is more than what changes.

        Returns
        -------
        int
            Number of voxels that changed.

        Raises
        ------
        StrokeUnderWayError
            When a stroke is being drawn on the layer; nothing is done.
        """
        return self._write(index, values, text, also, said)

    def fill(self, values: npt.NDArray[np.uint8]) -> int:
        """Write ink on the user's word where nothing is stated yet (*Import labels*).

        One undo step, unless the voxels are very many; then the undo history starts anew.

        Parameters
        ----------
        values : ndarray of uint8
            Of the volume's shape; 255 says nothing.

        Returns
        -------
        int
            Number of voxels that changed; 0 also while a stroke is being drawn.
        """
        ink = self.ink
        where = (ink == NOT_ANNOTATED) & (values != NOT_ANNOTATED)
        count = int(np.count_nonzero(where))
        if count == 0:
            return 0
        self._writing = self.filling = True
        try:
            if count <= _AT_ONCE:
                after = np.where(where, values, ink).astype(np.uint8)
                place = (self.axis, self.current_slice())
                change = Change.of_volume(ink, after)
                if not self._history.write(self.layer, change, "importing labels", place):
                    return 0  # a stroke is being drawn
            else:
                np.copyto(ink, values, where=where)
                forget_history(self.layer)
                self._history.written_over(self.layer, mask_positions(where))
                self.layer.refresh()
        finally:
            self._writing = self.filling = False
            self.serial += 1
        return count

    def look_at(self, index: int) -> None:
        """Learn the state of a slice again, after an undo say."""
        self.serial += 1  # the layer says nothing of an undo while it is hidden
        self._update(index)

    def _write(
        self,
        index: int,
        values: npt.NDArray[np.uint8],
        text: str,
        also: Iterable[Companion] = (),
        said: npt.NDArray[np.bool_] | None = None,
    ) -> int:
        # Not through the layer's own data_setitem: it fails while the layer is hidden.
        change = Change.of_slice(
            self.ink.shape, self.axis, index, self.slice_ink(index), values.astype(np.uint8)
        )
        where = None if said is None else slice_places(self.ink.shape, self.axis, index, said)
        filling = not (values == NOT_ANNOTATED).any()
        if filling and self.origin is not None:
            also = [*also, *self.origin.made_whole(self.axis, index)]
        self._writing, self.filling = True, filling
        try:
            written = self._history.write(
                self.layer, change, text, (self.axis, index), also, said=where
            )
        finally:
            self._writing = self.filling = False
            self.serial += 1
        if not written:
            raise StrokeUnderWayError(
                "Nothing was changed, as you are drawing a stroke: end it, or press Esc to drop "
                "it, then try again."
            )
        if not len(change):
            return 0
        self._update(index)
        return len(change)

    def _on_edit(self) -> None:
        self.serial += 1
        if not self._writing:
            self._update(self.current_slice())

    def _update(self, index: int) -> None:
        if 0 <= index < len(self.states):
            self.index.update(index, self.slice_ink(index))
        self.changed.emit()


def slice_in_view(viewer: ViewerModel, layer: Labels | Image, axis: int) -> int:
    """Index, along `axis` of a layer, of the slice that the viewer shows."""
    # Of all positions napari heeds that of the slider alone, however the layer is turned.
    point = np.zeros(3)
    point[axis] = viewer.dims.point[-3:][axis]
    index = layer.world_to_data(point)[axis]
    size = layer.data.shape[axis]
    return int(np.clip(np.round(index), 0, size - 1))


def class_features(classes: ClassTable, ink: bool = False) -> dict[str, list[Any]]:
    """Table by which napari names the class under the cursor in its status bar."""
    ids = [BACKGROUND, *classes.ids] + ([NOT_ANNOTATED] if ink else [])
    return {"index": ids, "class": [classes.name(i) for i in ids]}
