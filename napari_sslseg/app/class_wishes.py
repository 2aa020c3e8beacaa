"""What the user asks of the class list, carried out on the session in view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

if TYPE_CHECKING:
    from .class_list import ClassList
    from .session import Session


class ClassWishes:
    """Listens to a class list; without a session nothing happens.

    Parameters
    ----------
    classes : ClassList
    session : callable
        Returns the session in view, or None.
    """

    def __init__(self, classes: ClassList, session: Callable[[], Session | None]) -> None:
        self._session, self._classes = session, classes
        classes.add_wanted.connect(self._add)
        classes.remove_wanted.connect(self._remove)
        classes.chosen.connect(self._choose)
        classes.renamed.connect(self._rename)
        classes.recolored.connect(self._recolor)
        classes.recoded.connect(self._recode)

    def _add(self) -> None:
        if (session := self._session()) is None:
            return
        try:
            added = session.add_class()
        except ValueError as error:
            show_warning(str(error))
        else:
            self._classes.ask_name(added.id)

    def _remove(self, class_id: int) -> None:
        if (session := self._session()) is not None:
            session.remove_class(class_id)

    def _choose(self, class_id: int) -> None:
        if (session := self._session()) is not None:
            session.choose_class(class_id)

    def _rename(self, class_id: int, name: str) -> None:
        if (session := self._session()) is not None:
            session.edit_class(class_id, name=name)

    def _recolor(self, class_id: int, color: str) -> None:
        if (session := self._session()) is not None:
            session.edit_class(class_id, color=color)

    def _recode(self, class_id: int, code: str) -> None:
        if (session := self._session()) is None:
            return
        try:
            session.edit_class(class_id, code=code)
        except ValueError as error:
            show_warning(str(error))
