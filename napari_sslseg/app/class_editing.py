"""The class table as the user changes it: add, rename, recolour, remove, choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, SegmentClass
from ..volume.terminology import Code
from .background import in_background
from .ink_colors import Colors, color_new, shown_colors
from .tool_in_hand import first_brush

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from ..volume.project import Project
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

#: Name of the class that a project begins with, so that there is one to paint with.
PLACEHOLDER = "Structure"


class ClassEditing:
    """Changes the classes of a project and chooses the one to paint with.

    Parameters
    ----------
    viewer : ViewerModel
    image : Image
        New classes get colours that stand out from it.
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    """

    changed = Signal()
    """The table is another one."""
    chosen = Signal(int)
    """Another class is painted with, whoever chose it: `current`."""
    refused = Signal(str)
    """Why a class stays, in one sentence."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
    ) -> None:
        self._viewer, self._image, self._project = viewer, image, project
        self._references, self._shelf = references, shelf
        #: Tells, now or later, the names of the project's other volumes that a class is painted in.
        self.painted_elsewhere: Callable[[int, Callable[[list[str]], object]], object] = (
            lambda class_id, tell: tell([])
        )
        self._followed: list[Labels] = []
        self._choosing = False
        self._told = self.current()
        references.layer.brush_size = first_brush(references.layer.data.shape)
        self._follow(references.layer)
        shelf.added.connect(self._on_added)
        shelf.changed.connect(self._on_proposals)
        viewer.layers.selection.events.active.connect(self._tell)

    def add(self, name: str | None = None) -> SegmentClass:
        """Add a class and select it for painting."""
        classes = self._project.classes
        item = classes.add(name)
        color_new(classes, [item.id], self.shown_colors())
        self.changed.emit()
        self.choose(item.id)
        return classes[item.id]

    def add_all(self, items: Iterable[SegmentClass]) -> None:
        """Add classes with ids of their own, as a file that is imported has them."""
        for item in items:
            self._project.classes.set(item)
        self.changed.emit()

    def edit(
        self,
        class_id: int,
        *,
        name: str | None = None,
        color: str | None = None,
        code: str | None = None,
    ) -> None:
        """Rename or recolour a class, or say its code in DICOM; what is None stays.

        Parameters
        ----------
        class_id : int
            Label value, of a class of the project.
        name : str, optional
            A blank one is ignored.
        color : str, optional
            As ``#rrggbb``.
        code : str, optional
            As `Code.parse` takes it; a blank one lets the name decide.

        Raises
        ------
        ValueError
            With one sentence, when the code is none.
        """
        renamed = name if name is not None and name.strip() else None
        # What may be refused comes first; and with the old name its code goes, not the new one.
        means = renamed or self._project.classes.name(class_id)
        parsed = None if code is None else Code.parse(code, means)
        if renamed is not None and renamed.strip() != self._project.classes.name(class_id):
            self._project.classes.rename(class_id, renamed)
        if code is not None:
            self._project.classes.recode(class_id, parsed)
        if color is not None:
            self._project.classes.recolor(class_id, color)
        self.changed.emit()

    def meet(self, ids: Iterable[int]) -> None:
        """Make classes of label values that are painted without one."""
        classes = self._project.classes
        known = {*classes.ids, *classes.removed_ids}
        if classes.meet(ids):
            color_new(classes, [i for i in classes.ids if i not in known], self.shown_colors())
            self.changed.emit()

    def shown_colors(self) -> list[Colors]:
        """Return the colours that the image is shown in, where it is not grey."""
        return shown_colors(self._viewer.layers, self._image)

    def remove(self, class_id: int) -> None:
        """Remove a class that no ink or correction uses, here or in the project's other volumes.

        It goes when the others have been asked, which may have to be read first, and this volume
        has been counted, in a thread. When voxels are painted with it, `refused` says so: ink is
        never thrown away silently.
        """
        ask = partial(self.painted_elsewhere, class_id, partial(self._remove_unless, class_id))
        if class_id in self._references.index.painted():  # no need to ask the others
            self._unless_painted(class_id, ask)
        else:
            ask()

    def drop_placeholder(self) -> None:
        """Remove the class that a project begins with, if unused, and there are others."""
        ids = self._project.classes.ids
        painted = self._references.index.painted()
        if (
            len(ids) > 1
            and self._project.classes.name(ids[0]) == PLACEHOLDER
            and ids[0] not in painted
            and not self._shelf.all()
            and not self._shelf.unread.missing
        ):
            # Where it is in use after all it stays, and nobody asked why.
            self.painted_elsewhere(
                ids[0], lambda others: None if others else self._remove_unless(ids[0], others)
            )

    def _remove_unless(self, class_id: int, others: list[str]) -> None:
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            self.refused.emit(
                f"“{self._project.classes.name(class_id)}” is painted in the volume "
                f"“{others[0]}”{more}; repaint or erase it there before removing the class."
            )
        else:
            self._unless_painted(class_id, partial(self._remove, class_id))

    def _remove(self, class_id: int) -> None:
        self._project.classes.remove(class_id)
        if self.current() == class_id:
            ids = self._project.classes.ids
            self.choose(ids[0] if ids else BACKGROUND, take_brush=False)
        self.changed.emit()

    def _unless_painted(self, class_id: int, follow: Callable[[], object]) -> None:
        """Go on if no voxel of this volume is painted with a class; else say so."""
        serials, ink = self._serials(), self._references.ink
        words: list[Any] = [ink, *(proposal.corrections() for proposal in self._shelf.all())]
        stores = [self._project.correction_store(slug) for slug in self._shelf.unread.missing]

        def count() -> int:
            everything = words + [store.stored() for store in stores]
            return sum(_voxels(everything, z, class_id) for z in range(ink.shape[0]))

        def done(painted: int) -> None:
            if self._shelf.closed or class_id not in self._project.classes:
                return  # asked for twice
            if self._serials() != serials:
                self._unless_painted(class_id, follow)
            elif painted:
                self.refused.emit(
                    f"“{self._project.classes.name(class_id)}” is painted on {painted} voxels, in "
                    "References or proposals; repaint or erase them before removing the class."
                )
            else:
                follow()

        in_background(count, done, lambda error: self.refused.emit(str(error)))

    def _serials(self) -> tuple[int, ...]:
        return (self._references.serial, *self._shelf.serials())

    # -- what is painted with -------------------------------------------------------------

    def current(self) -> int:
        """Id of the class that is painted with: the selected label of the layer in hand."""
        active = self._viewer.layers.selection.active
        ours = active in [proposal.layer for proposal in self._shelf.layers.values()]
        return int((active if ours else self._references.layer).selected_label)

    def choose(self, class_id: int, take_brush: bool = True) -> None:
        """Paint with a class from now on, in References and proposals alike.

        Parameters
        ----------
        class_id : int
            Or 255, with which ink is taken away: only References can be painted with that, and
            become the active layer in place of a proposal.
        take_brush : bool
            Take the brush where the tool of the active layer is none to paint with, or that
            layer is none of ours.
        """
        references = self._references.layer
        proposals = [proposal.layer for proposal in self._shelf.layers.values()]
        self._choosing = True
        try:
            for layer in [references] if class_id == NOT_ANNOTATED else [references, *proposals]:
                layer.selected_label = class_id
        finally:
            self._choosing = False
        if take_brush:
            self._take_brush(class_id)
        self._tell()

    def _take_brush(self, class_id: int) -> None:
        references, layers = self._references.layer, self._viewer.layers
        proposals = [proposal.layer for proposal in self._shelf.layers.values()]
        active = layers.selection.active
        if class_id == NOT_ANNOTATED and active in proposals and references in layers:
            references.brush_size, references.mode = active.brush_size, active.mode
            layers.selection.active = active = references
        if active not in [references, *proposals]:  # nothing of ours can be painted there
            shown = self._shelf.in_view()
            active = references if shown is None else shown.layer
            if active not in layers or not active.visible:
                return
            layers.selection.active = active
        if active.mode in ("pan_zoom", "erase", "pick"):
            active.mode = "paint"

    def _follow(self, layer: Labels) -> None:
        """Take what is chosen in napari's own controls of a layer for all of them."""
        self._followed.append(layer)
        layer.events.selected_label.connect(self._on_label)

    def _on_label(self, event: Any) -> None:
        if not self._choosing and not self._shelf.closed:
            self.choose(int(event.source.selected_label), take_brush=False)

    def _on_added(self, proposal: ProposalLayer) -> None:
        proposal.layer.brush_size = self._references.layer.brush_size

    def _on_proposals(self) -> None:
        """Paint in a proposal that has just come with what was chosen before."""
        here = [proposal.layer for proposal in self._shelf.layers.values()]
        kept = [self._references.layer, *here]
        self._followed = [layer for layer in self._followed if layer in kept]
        for layer in here:
            if layer not in self._followed:
                self._follow(layer)
                label = self._references.layer.selected_label
                if label != NOT_ANNOTATED:
                    layer.selected_label = label
        self._tell()

    def _tell(self, event: Any = None) -> None:
        if self._shelf.closed:
            return
        current = self.current()
        if current != self._told:
            self._told = current
            self.chosen.emit(current)


def _voxels(words: Iterable[Any], z: int, class_id: int) -> int:
    """Count the voxels of a slice that any of these words says are of a class."""
    slices = [slab for word in words if (slab := word[z]) is not None]
    return int(np.count_nonzero(np.any([slab == class_id for slab in slices], axis=0)))
