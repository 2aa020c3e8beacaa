"""Where the object lies, as the user says it in the application, and what follows at once.

What lies outside disappears from the proposals that are shown, and is back when the user forgets
what was said: the proposals on disk stay as they are. Ink is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from ..volume.extent import Extent

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer


class ObjectExtent:
    """First and last slice of the object, for a session.

    Parameters
    ----------
    project : Project
        Keeps what is said.
    references : ReferenceLayer
        Its ink stands above what is said.
    shelf : ProposalShelf
        Empties its proposals outside.
    save_head : callable
        Saves the project's head.
    """

    changed = Signal()

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        save_head: Callable[[], None],
    ) -> None:
        self._project, self._references = project, references
        self._shelf, self._save_head = shelf, save_head

    @property
    def said(self) -> Extent:
        """What the user said of the slices along the current axis."""
        return self._project.extent

    def say(self, extent: Extent) -> None:
        """Take the user's word; an extent without ends forgets.

        Raises
        ------
        ValueError
            When it names a slice that is not there; nothing is changed.
        """
        if extent != self.said:
            self._project.extent = extent
            self._save_head()
            self._shelf.renew()
            self.changed.emit()

    def follow_axis(self) -> None:
        """Slices go along another axis now: what was said of the last one waits until then."""
        if any(self._project.extents.values()):
            self._shelf.renew()
            self.changed.emit()

    def inked(self) -> npt.NDArray[np.bool_]:
        """Slices (Z,) in which References show the object."""
        present = self._references.index.present
        return np.asarray(present[:, 1:NOT_ANNOTATED].any(axis=1))

    def outside(self) -> npt.NDArray[np.bool_]:
        """Slices (Z,) that are empty because the user says so."""
        return self.said.outside(self.inked() | self._shelf.emptying.corrected_objects())

    def contradicted(self) -> str:
        """Say what ink stands against what was said, in a sentence; empty when none does."""
        inked = self.inked()
        said = self.said.outside(np.zeros(len(inked), dtype=bool))
        against = [int(z) for z in np.flatnonzero(inked & said)]
        if not against:
            return ""
        which = (
            f"Slice {against[0]} lies"
            if len(against) == 1
            else f"{len(against)} slices ({against[0]} to {against[-1]}) lie"
        )
        return f"{which} outside of that, but you painted the object there: your ink counts."
