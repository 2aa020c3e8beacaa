"""What a session writes to disk: ink, corrections and the project's head, as the user works."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from ..volume.folders import home_of
from .autosave import Autosave
from .background import in_background
from .background_origin import BackgroundOrigin
from .shown_slice import remember_slice
from .slice_index import SliceIndex, index_slices

if TYPE_CHECKING:
    from ..volume.classes import ClassTable
    from ..volume.project import Project
    from .history import History
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer
    from .unread import Corrected

_T = TypeVar("_T")

#: Milliseconds between two looks whether a stroke has ended, and how many there are.
_LOOK_MS = 100
_STROKE_LOOKS = 20

#: Times that the slices are indexed afresh because the user went on painting meanwhile.
_INDEX_TRIES = 5


class Saving:
    """Saves one volume; the saving thread also learns the state of the slices out of view.

    Parameters
    ----------
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    history : History
    """

    saved = Signal(float)
    """Something was written, at this time."""
    trouble = Signal(str)

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        history: History,
    ) -> None:
        self._project, self._references, self._shelf = project, references, shelf
        self._history = history
        store = project.background_store
        self._background = BackgroundOrigin(
            references, history, store, lambda error: self.trouble.emit(str(error))
        )
        self._index = references.index
        self._saved_serials: tuple[int, ...] = ()
        #: What project.json is to hold, and what it does hold; None before anything was asked for.
        self._head: Project | None = None
        self._saved_head: Project | None = None
        #: Whether the project's folder could only be read when it was opened.
        self.read_only = not os.access(project.path, os.W_OK)
        #: Whether that was said already, of another volume of the project.
        self.read_only_told = False
        #: Saves the class table where other volumes have the same, with the head and in its thread.
        self.share_classes: Callable[[ClassTable], object] = lambda classes: None
        #: Whether this has ended, all being saved or told.
        self.closed = False
        self.autosave = Autosave(self._save)
        self.autosave.saved.connect(self._on_saved)
        self.autosave.failed.connect(self.trouble.emit)
        if self.read_only:
            QTimer.singleShot(0, self._say_read_only)  # when somebody listens

    @property
    def up_to_date(self) -> bool:
        """Whether all strokes are on the disk, and the project's head; not under a stroke."""
        if self._history.drawing:
            return False
        return self._saved_serials == self._serials() and self._saved_head is self._head

    def save_head(self) -> None:
        """Write project.json as it stands now, in the autosave thread: a disk may be slow."""
        if self.closed:
            return  # closing writes it at the end
        head = self._head = self._project.snapshot()
        self.autosave.do(lambda: self._write_head(head))

    def head_later(self) -> None:
        """Write project.json with the next autosave, after the ink that it speaks of."""
        if not self.closed:
            self._head = self._project.snapshot()
            self.autosave.request()

    def save_then(
        self, done: Callable[[], object], failed: Callable[[], object], looks: int = _STROKE_LOOKS
    ) -> None:
        """Save all off the GUI thread; `failed` is called after `trouble` was.

        What comes in meanwhile is saved too: with `done` nothing is left that closing would have to
        save, while all wait for it. The end of a stroke is waited for, but not for long: napari's
        “encircle and fill” goes on with no button down until somebody ends it.

        Parameters
        ----------
        done, failed : callable
        looks : int
            How often it is looked whether a stroke has ended.
        """

        def saved() -> None:
            if self.closed or self.up_to_date or not looks:
                done()
            elif self._history.drawing:
                QTimer.singleShot(_LOOK_MS, lambda: self.save_then(done, failed, looks - 1))
            else:
                self.save_then(done, failed, looks)

        self.autosave.flush_then(saved, failed)

    def index(self, tries: int = _INDEX_TRIES) -> None:
        """Learn the state of all slices along the current axis, in a thread."""
        references = self._references
        axis, serial = references.axis, references.serial

        def work() -> SliceIndex:
            return index_slices(references.ink, axis)

        def done(index: SliceIndex) -> None:
            if self.closed or axis != references.axis:
                return
            if references.serial != serial and tries > 0:
                self.index(tries - 1)
            references.take_index(index)

        in_background(work, done, lambda error: self.trouble.emit(str(error)))

    def close(self, saved: bool) -> None:
        """Write what is left, and end the thread.

        Parameters
        ----------
        saved : bool
            All has just been saved: write only if a stroke came in since.
        """
        self.closed = True
        save = not saved or not self.up_to_date
        try:  # whatever fails, the window must close
            _try_each([lambda: self.autosave.close(save), self._close_head])
        except Exception as error:
            self.trouble.emit(f"The last changes could not be saved: {error}.")

    def _say_read_only(self) -> None:
        if not self.read_only_told:
            self.trouble.emit(
                "The project can only be read, so nothing that you do in it can be saved: "
                f"{home_of(self._project.path)} cannot be written to. Copy the folder to work on "
                "it."
            )

    def _save(self) -> int:
        """Write what changed; runs in the autosave thread."""
        serials, head = self._serials(), self._head  # of now: a later one may speak of later ink
        # Corrections first: what new ink speaks over is written into them too, and one that still
        # differs from the saved ink would count as later.
        ink, background = self._project.ink_store, self._background
        strokes: list[Callable[[], int]] = [
            partial(_save_corrections, proposal) for proposal in self._shelf.all()
        ]
        strokes += [lambda: ink.save(self._references.ink), background.save]
        pieces = sum(_try_each([*strokes, lambda: self._write_head(head)]))
        # An undo may change slices that are not in view; the whole volume is looked at here.
        self._index = index_slices(self._references.ink, self._references.axis)
        self._saved_serials = serials
        return pieces

    def _write_head(self, head: Project | None) -> int:
        """Write project.json if that is still to do, which is no piece; in the autosave thread."""
        if head is not None and head is not self._saved_head:
            with self._heads_failure():
                head.save()
                self.share_classes(head.classes)
            self._saved_head = head
        return 0

    def _close_head(self) -> None:
        with contextlib.suppress(IndexError):  # the viewer has no slices any more
            remember_slice(self._project, self._references.current_slice())
        with self._heads_failure():
            self._project.save()

    def _heads_failure(self) -> contextlib.AbstractContextManager[None]:
        """Where nothing can be written that was said at opening; of ink it is said again."""
        return contextlib.suppress(OSError) if self.read_only else contextlib.nullcontext()

    def _serials(self) -> tuple[int, ...]:
        """Return numbers that rise with every edit."""
        return (self._references.serial, *self._shelf.serials())

    def _on_saved(self, pieces: int) -> None:
        if self.closed:
            return
        self._references.take_index(self._index)
        if pieces:
            self._project.saved = time.time()
            self.saved.emit(self._project.saved)
            self._shelf.recount()


def _save_corrections(proposal: Corrected) -> int:
    return proposal.store.save(proposal.corrections())


def _try_each(works: Iterable[Callable[[], _T]]) -> list[_T]:
    """Do all, as one may succeed where another does not, and then raise what failed first."""
    results, errors = [], []
    for work in works:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results
