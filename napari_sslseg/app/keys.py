"""Keyboard shortcuts. None is one of napari's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QElapsedTimer
from qtpy.QtWidgets import QApplication

from ..volume.annotation import SliceState
from ..volume.classes import BACKGROUND

if TYPE_CHECKING:
    from .panel import LoopPanel


def bind_keys(panel: LoopPanel) -> None:
    """Bind the shortcuts of the loop to the panel's viewer, in place of those bound before."""
    viewer = panel.viewer
    for key in panel.bound_keys:
        viewer.bind_key(key, None, overwrite=True)
    panel.bound_keys = []

    def bind(key: str, action: Callable[[], Any]) -> None:
        def run(_: Any) -> None:
            if panel.session is not None:
                action()

        viewer.bind_key(key, run, overwrite=True)
        panel.bound_keys.append(key)

    def choose(position: int) -> None:
        assert panel.session is not None
        ids = panel.session.classes.ids
        if position <= len(ids):
            chosen = ids[position - 1] if position else BACKGROUND
            panel.session.choose_class(chosen)

    for position in range(10):
        bind(f"Alt-{position}", partial(choose, position))
    actions = actions_of(panel)
    for name, key in panel.keys.by_name.items():
        bind(key, actions[name])
    panel.top.name_key(panel.keys.by_name["planes"])
    # On a labels layer these are napari's, and lead to the same history.
    bind("Ctrl+Z", panel.top.undo.click)
    bind("Ctrl+Shift+Z", panel.top.redo.click)


def actions_of(panel: LoopPanel) -> dict[str, Callable[[], Any]]:
    """Return what each key does, by the names of `key_settings.ACTIONS`."""
    review = panel.review

    def state() -> SliceState:
        assert panel.session is not None
        references = panel.session.references
        return SliceState(int(references.states[references.current_slice()]))

    def keep() -> None:
        # While nothing is proposed, a slice that was painted is marked; twice is no taking back.
        if review.accept.isEnabled():
            review.accept.click()
        elif state() is SliceState.PARTIAL:
            panel.references.mark.click()

    def next_slice() -> None:
        (review.next if review.next.isEnabled() else panel.references.suggest).click()

    def keep_and_go_on() -> None:
        if review.accept_next.isEnabled():
            review.accept_next.click()
            return
        keep()
        if state() is SliceState.WHOLE:
            next_slice()

    def swap() -> None:
        session = panel.session
        other = session.mender.other() if session is not None else None
        if session is not None and other is not None:
            session.activate(other.slug)

    def at_cursor(tool: str) -> None:
        session = panel.session
        point = session.tools.point() if session is not None else None
        if session is not None and point is not None and session.proposals:
            mender = session.mender
            act = mender.flip if tool == "flip" else mender.take_part
            act(point, review.correct.volume)

    return {
        "accept_next": _hit_once(keep_and_go_on),
        "accept": keep,
        "accept_sure": review.accept_sure.click,
        "next_slice": next_slice,
        "next_place": review.next_place.click,
        "previous_place": review.previous_place.click,
        "image_only": review.image_only.click,
        "planes": panel.top.planes.click,
        "swap": swap,
        "flip": lambda: at_cursor("flip"),
        "take_part": lambda: at_cursor("take"),
        "help": panel.show_keys,
    }


def _hit_once(action: Callable[[], object]) -> Callable[[], None]:
    """Let a key that is hit twice act once: what it would accept then has not been looked at."""
    since = QElapsedTimer()

    def act() -> None:
        if since.isValid() and since.elapsed() < QApplication.doubleClickInterval():
            return
        action()
        since.start()  # afterwards: a press that came meanwhile has waited

    return act
