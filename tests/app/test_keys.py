"""Shortcuts: they work, and none is one of napari's."""

from __future__ import annotations

import numpy as np
from napari.utils.shortcuts import default_shortcuts

from napari_sslseg.app.keys import ACCEPT, NEXT, SWAP
from napari_sslseg.volume.annotation import SliceState

from .conftest import put_proposal


def press(viewer, key: str) -> None:
    viewer.keymap[key](viewer)


def bound(viewer) -> dict[str, str]:
    return {str(key): key for key in viewer.keymap}


def test_no_shortcut_is_one_of_napari(started):
    viewer, _ = started
    own = {ACCEPT, NEXT, SWAP, *(f"Alt+{digit}" for digit in range(10))}
    napari = {str(key) for keys in default_shortcuts.values() for key in keys}
    assert not own & napari
    assert own <= set(bound(viewer))


def test_keys_accept_go_on_and_swap(with_proposal, until):
    viewer, panel = with_proposal
    session = panel.session
    keys = bound(viewer)
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    session.activate("semsim")
    press(viewer, keys[SWAP])
    assert session.active == "reference-guided"
    press(viewer, keys[SWAP])
    assert session.active == "semsim"
    session.go_to(3)
    press(viewer, keys[ACCEPT])
    assert session.references.states[3] == SliceState.WHOLE
    assert np.array_equal(session.references.ink[3], panel.truth[3])
    until(lambda: session.suggest() is not None)
    press(viewer, keys[NEXT])
    assert session.references.current_slice() == session.suggest().index


def test_number_keys_choose_classes(started):
    viewer, panel = started
    session = panel.session
    session.add_class("Second")
    keys = bound(viewer)
    press(viewer, keys["Alt+1"])
    assert session.references.layer.selected_label == 1
    press(viewer, keys["Alt+2"])
    assert session.references.layer.selected_label == 2
    assert panel.volume.classes.current() == 2
    press(viewer, keys["Alt+0"])
    assert session.references.layer.selected_label == 0
    press(viewer, keys["Alt+9"])
    assert session.references.layer.selected_label == 0
