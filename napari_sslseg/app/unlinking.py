"""Layers of ours that the user links: what one of them refuses, the others could not do either.

napari sets all that linked layers have in common on each of them. But a proposal refuses the label
that takes ink away in References, and the confidence layer is never painted on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.experimental import unlink_layers
from psygnal import Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer


class Unlinking:
    """Takes the labels layers of a session out of the links that are made between layers.

    Parameters
    ----------
    viewer : ViewerModel
    references : ReferenceLayer
    shelf : ProposalShelf
    """

    trouble = Signal(str)
    """That layers were unlinked."""

    def __init__(
        self, viewer: ViewerModel, references: ReferenceLayer, shelf: ProposalShelf
    ) -> None:
        self._viewer, self._references, self._shelf = viewer, references, shelf
        # Of all that napari tells, this alone also says that layers were linked.
        viewer.layers.selection.events.changed.connect(self._on_changed)

    def close(self) -> None:
        """Let the user link what there is."""
        self._viewer.layers.selection.events.changed.disconnect(self._on_changed)

    def _on_changed(self, event: Any = None) -> None:
        ours = [self._references.layer, *(p.layer for p in self._shelf.layers.values())]
        if self._shelf.regions.layer is not None:
            ours.append(self._shelf.regions.layer)
        if any([_unlinked(layer) for layer in ours]):
            self._viewer.layers.unlink_layers(ours)  # lets napari's menus look again
            self.trouble.emit(
                "References, proposals and Confidence cannot be linked with other layers, as each "
                "has classes and tools of its own."
            )


def _unlinked(layer: Labels) -> bool:
    """Take a layer out of all links, and return whether there was one."""
    before = _followers(layer)
    unlink_layers([layer])
    return _followers(layer) != before


def _followers(layer: Labels) -> int:
    return sum(len(emitter.callbacks) for emitter in layer.events.emitters.values())
