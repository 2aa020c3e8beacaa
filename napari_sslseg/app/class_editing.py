"""The class table as the user changes it: add, rename, recolour, remove, choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import SegmentClass
from ..volume.terminology import Code

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer


class ClassEditing:
    """Changes the classes of a project and chooses the one to paint with.

    Parameters
    ----------
    viewer : ViewerModel
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    """

    changed = Signal()
    """The table is another one."""

    def __init__(
        self,
        viewer: ViewerModel,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
    ) -> None:
        self._viewer, self._project = viewer, project
        self._references, self._shelf = references, shelf
        #: Names the other volumes of the project that are painted with a class.
        self.painted_elsewhere: Callable[[int], list[str]] = lambda class_id: []

    def add(self, name: str | None = None) -> SegmentClass:
        """Add a class and select it for painting."""
        item = self._project.classes.add(name)
        self.changed.emit()
        self.choose(item.id)
        return item

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
        """Rename or recolour a class, or say its code in DICOM as `Code.parse` takes it.

        Raises
        ------
        ValueError
            With one sentence, when the code is none.
        """
        if code is not None:
            own = self._project.classes.name(class_id)
            self._project.classes.recode(class_id, Code.parse(code, own))
        if name is not None and name.strip():
            self._project.classes.rename(class_id, name)
        if color is not None:
            self._project.classes.recolor(class_id, color)
        self.changed.emit()

    def remove(self, class_id: int) -> None:
        """Remove a class that no ink uses, in this volume or another one of the project.

        Raises
        ------
        ValueError
            When voxels are painted with it: ink is never thrown away silently.
        """
        name = self._project.classes.name(class_id)
        painted = sum(int(np.count_nonzero(s == class_id)) for s in self._references.ink)
        if painted:
            raise ValueError(
                f"“{name}” is painted on {painted} voxels; "
                "repaint or erase them before removing the class."
            )
        others = self.painted_elsewhere(class_id)
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise ValueError(
                f"“{name}” is painted in the volume “{others[0]}”{more}; "
                "repaint or erase it there before removing the class."
            )
        self._project.classes.remove(class_id)
        self.changed.emit()

    def choose(self, class_id: int) -> None:
        """Paint with a class from now on, in References and proposals alike."""
        layers = [self._references.layer]
        if class_id != NOT_ANNOTATED:
            layers += [proposal.layer for proposal in self._shelf.layers.values()]
        for layer in layers:
            layer.selected_label = class_id
        active = self._viewer.layers.selection.active
        if active in layers and active.mode in ("pan_zoom", "erase", "pick"):
            active.mode = "paint"
