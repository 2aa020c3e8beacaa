"""The confidence layer: MetaSSL regions of the active proposal, where it still stands.

The layer's array is computed as it is looked at, by comparing the proposal layer with what was
proposed and where strokes went. So what was painted loses its colour with the stroke, changed or
not, and has it back with the undo, and no second array has to be kept in step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from ..volume.proposal import REGION_NAMES, REGION_REASONS, REGION_WORDS
from .layer_roles import CONFIDENCE, placement, put_below, role_metadata
from .palette import region_colormap

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from .history import History
    from .proposal_layer import ProposalLayer


class RegionArray:
    """Array-like of region codes, 0 where corrected, inked, or trivially background.

    Parameters
    ----------
    edited : ndarray of uint8
        The proposal layer's live array.
    proposed, regions : ndarray of uint8
        What was proposed, and its regions.
    said : ndarray of bool or None
        Where the layer holds the user's word, even if the same is proposed.
    ink : ndarray of uint8
        The References layer's live array.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        edited: npt.NDArray[np.uint8],
        proposed: npt.NDArray[np.uint8],
        regions: npt.NDArray[np.uint8],
        said: npt.NDArray[np.bool_] | None,
        ink: npt.NDArray[np.uint8],
    ) -> None:
        self._edited, self._proposed, self._regions = edited, proposed, regions
        self._said, self._ink = said, ink
        self.shape = regions.shape
        self.ndim = regions.ndim
        self.size = regions.size

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        edited = self._edited[key]
        stands = np.asarray((edited == self._proposed[key]) & (self._ink[key] == NOT_ANNOTATED))
        if self._said is not None:
            stands &= ~self._said[key]
        regions = self._regions[key]
        # Agreed and sure background is nearly all of an image; painting it would hide it.
        stands &= (regions != 1) | (edited > 0)
        return np.asarray(np.where(stands, regions, 0), dtype=np.uint8)

    def __deepcopy__(self, memo: Any) -> npt.NDArray[np.uint8]:
        """Return an ordinary array: a copy of the layer is the user's, to be painted on."""
        return self[...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[...].astype(dtype or np.uint8, copy=False)


#: Opaque enough for the colours of the legend, clear enough to judge the image by.
REGION_OPACITY = 0.75


class RegionView:
    """The confidence layer and its switches.

    Colours over colours mix into others, that the legend does not know. So while regions are shown
    proposals have no areas but outlines, which tell the class (`ProposalLayer.outline`).

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        Where the layer lies.
    history : History
        What an undo means while this layer is selected.
    """

    on_changed = Signal()
    """Regions colour the slice in view now, or no longer."""

    def __init__(self, viewer: ViewerModel, image: Image, history: History) -> None:
        self._viewer = viewer
        self._image = image
        self._history = history
        self.shown: set[int] = {2, 3, 4}
        self.layer: Labels | None = None

    @property
    def on(self) -> bool:
        """Whether regions colour the slice in view."""
        layer = self.layer
        return layer is not None and self.exists and layer.visible and bool(self.shown)

    def show(self, proposal: ProposalLayer, ink: npt.NDArray[np.uint8]) -> None:
        """Show the regions of a proposal below it: its outlines tell the class."""
        self.show_array(proposal.open_regions(ink))
        if self.layer is not None:
            put_below(self._viewer.layers, self.layer, proposal.layer)

    def hide(self) -> None:
        """Take the layer away until there is a proposal again."""
        if self.exists:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    @property
    def exists(self) -> bool:
        """Whether the layer is there."""
        return self.layer is not None and self.layer in self._viewer.layers

    def show_array(self, array: RegionArray) -> None:
        """Show regions; the layer is made the first time."""
        if not self.exists:
            self.layer = self._viewer.add_labels(
                array,
                name=CONFIDENCE,
                opacity=REGION_OPACITY,
                colormap=region_colormap(self.shown),
                metadata=role_metadata(self._image, CONFIDENCE),
                features=_features(),
                **placement(self._image),
            )
            self._history.lead_here(self.layer)
            self.layer.events.visible.connect(self._on_view)
            self._on_view()
        elif self.layer is not None:
            self.layer.data = array
        if self.layer is not None:
            self.layer.editable = False

    def refresh(self) -> None:
        """Look again: the proposal or the ink has changed."""
        if self.layer is not None and self.layer.visible:
            self.layer.refresh(thumbnail=False, extent=False)

    def set_shown(self, regions: Iterable[int]) -> None:
        """Switch regions on and off."""
        self.shown = set(regions)
        if self.layer is not None:
            self.layer.colormap = region_colormap(self.shown)
        self._on_view()

    def _on_view(self, event: Any = None) -> None:
        self.on_changed.emit()


def _features() -> dict[str, list[Any]]:
    codes = sorted(REGION_NAMES)
    return {
        "index": [0, *codes],
        "region": ["", *(f"{REGION_WORDS[c]}: {REGION_REASONS[c]}" for c in codes)],
        "MetaSSL": ["", *(REGION_NAMES[c] for c in codes)],
    }
