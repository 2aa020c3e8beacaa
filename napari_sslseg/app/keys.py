"""Keyboard shortcuts. None is one of napari's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..volume.classes import BACKGROUND

if TYPE_CHECKING:
    from .panel import LoopPanel

ACCEPT = "K"
NEXT = "N"
SWAP = "W"


def bind_keys(panel: LoopPanel) -> None:
    """Bind the shortcuts of the loop to the panel's viewer."""
    viewer = panel.viewer

    def bind(key: str, action: Any) -> None:
        def run(_: Any) -> None:
            if panel.session is not None:
                action()

        viewer.bind_key(key, run, overwrite=True)

    def choose(position: int) -> None:
        assert panel.session is not None
        ids = panel.session.classes.ids
        if position <= len(ids):
            chosen = ids[position - 1] if position else BACKGROUND
            panel.session.choose_class(chosen)
            panel.volume.classes.choose(chosen)

    def swap() -> None:
        assert panel.session is not None
        slugs = sorted(panel.session.proposals)
        if len(slugs) > 1:
            position = slugs.index(panel.session.active)
            panel.session.activate(slugs[(position + 1) % len(slugs)])

    for position in range(10):
        bind(f"Alt-{position}", lambda position=position: choose(position))
    bind(ACCEPT, lambda: panel.review.accept.click())
    bind(NEXT, lambda: panel.review.next.click())
    bind(SWAP, swap)
