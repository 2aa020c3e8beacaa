"""One undo over all layers: the state is always that of a replayed model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.smoothing import smooth
from napari_sslseg.volume.annotation import NOT_ANNOTATED

from .conftest import SHAPE, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

#: Slices that the random edits meet on; 6 is a reference.
FEW = (3, 6, 8, 9)


class Model:
    """What a session must hold: plain copies, a clock for every word, and a list of states."""

    def __init__(self, session) -> None:
        self._proposed = {slug: p.proposed for slug, p in session.proposals.items()}
        self.now = self._copy(session)
        for name in ("ink", *self._proposed):
            self.now[f"{name} said at"] = np.zeros(SHAPE, int)
        for slug in self._proposed:
            self.now[f"{slug} spoken"] = np.zeros(SHAPE, bool)
        self.clock = 0
        self.done: list[dict] = []
        self.undone: list[dict] = []

    @staticmethod
    def _copy(session) -> dict[str, np.ndarray]:
        found = {slug: p.layer.data.copy() for slug, p in session.proposals.items()}
        accepted = {(a.axis, a.index, a.proposal) for a in session.project.accepted}
        stays = np.stack([session.references.origin.stays(0, z) for z in range(SHAPE[0])])
        ink = session.references.ink.copy()
        return {"ink": ink, "accepted": accepted, "by hand": stays, **found}

    def write(
        self, name: str, after: np.ndarray, accepted: tuple | None = None, said=None, hand=False
    ) -> None:
        """Enter a step, unless nothing changes by it; by hand also what is said again is said."""
        state, changed = dict(self.now), after != self.now[name]
        if accepted is not None:
            state["accepted"] = {a for a in state["accepted"] if a[:2] != accepted[:2]} | {accepted}
        said = changed if said is None else said
        new = changed.any() or state["accepted"] != self.now["accepted"]
        if not new and not hand:
            return
        self.clock += 1
        state[name] = after
        state[f"{name} said at"] = np.where(said, self.clock, state[f"{name} said at"])
        if name != "ink":
            state[f"{name} spoken"] = state[f"{name} spoken"] | said
            new |= (said & ~self.now[f"{name} spoken"]).any()
        else:
            by_hand = np.where(said, after == 0, state["by hand"]) if hand else state["by hand"]
            state["by hand"] = by_hand & (after == 0)
            new |= (state["by hand"] != self.now["by hand"]).any()
        for slug in self._proposed:  # what was corrected before shows the new word
            if slug != name:
                over = said & (after != NOT_ANNOTATED) & (after != self.now[slug])
                over &= self.corrected(slug)
                state[slug] = np.where(over, after, state[slug])
                at = f"{slug} said at"
                state[at] = np.where(over, self.clock, state[at])
                new |= over.any()
        if not new:
            return
        if name == "ink":
            whole = {z for z in range(SHAPE[0]) if (after[z] != NOT_ANNOTATED).all()}
            state["accepted"] = {a for a in state["accepted"] if a[1] in whole}
        self.done.append(self.now)
        self.undone.clear()
        self.now = state

    def corrected(self, slug: str) -> np.ndarray:
        """Where a proposal is not what was proposed, or was painted all the same."""
        return (self.now[slug] != self._proposed[slug]) | self.now[f"{slug} spoken"]

    def accept(self, slug: str, index: int) -> None:
        """Make a slice ink; where both layers have a word, the later one counts."""
        later = self.now[f"{slug} said at"] > self.now["ink said at"]
        silent = self.now["ink"] == NOT_ANNOTATED
        ink = self.now["ink"].copy()
        take = (silent | (later & self.corrected(slug)))[index]
        ink[index][take] = self.now[slug][index][take]
        said = np.zeros(SHAPE, bool)
        said[index] = True
        self.write("ink", ink, accepted=(0, index, slug), said=said)

    def undo(self) -> None:
        """Go one step back."""
        if self.done:
            self.undone.append(self.now)
            self.now = self.done.pop()

    def redo(self) -> None:
        """Go one step forward."""
        if self.undone:
            self.done.append(self.now)
            self.now = self.undone.pop()

    def same_as(self, session) -> bool:
        """Whether the session holds just this."""
        return all(
            v == self.now[k] if k == "accepted" else np.array_equal(v, self.now[k])
            for k, v in self._copy(session).items()
        ) and all(
            np.array_equal(np.asarray(p.corrections()) != NOT_ANNOTATED, self.corrected(slug))
            for slug, p in session.proposals.items()
        )


def random_mask(rng) -> np.ndarray:
    row, column = rng.integers(8, 32), rng.integers(8, 36)
    mask = np.zeros(SHAPE[1:], bool)
    mask[row - 8 : row + 8, column - 8 : column + 8] = True
    return mask


@pytest.fixture
def two_proposals(with_proposal, until):
    viewer, panel = with_proposal
    shifted = np.roll(panel.truth, 2, axis=1)
    put_proposal(panel.session, shifted, until, name="Reference-guided")
    return viewer, panel


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_edits_is_undone_and_redone_in_its_order(two_proposals, paint, until, seed):
    _, panel = two_proposals
    session, rng = panel.session, np.random.default_rng(seed)
    session.activate("semsim")
    # What was done to set the scene up can be undone too; the model begins here.
    for layer in (session.references.layer, *(p.layer for p in session.proposals.values())):
        session.history.forget(layer)
    model = Model(session)

    def stroke(name: str) -> None:
        layer = session.references.layer if name == "ink" else session.proposals[name].layer
        index, mask = int(rng.choice(FEW)), random_mask(rng)
        value = int(rng.choice([0, 1, 2, NOT_ANNOTATED] if name == "ink" else [0, 1, 2]))
        session.go_to(index)
        paint(layer, index, mask, value)
        after, said = model.now[name].copy(), np.zeros(SHAPE, bool)
        after[index][mask], said[index] = value, mask
        model.write(name, after, said=said, hand=True)

    def accept() -> None:
        index = int(rng.choice(FEW))
        session.go_to(index)
        panel.review.accept.click()
        model.accept(session.active, index)

    def take_slice() -> None:
        index, slug = int(rng.choice(FEW)), session.active
        session.go_to(index)
        panel.review.correct.take_slice.click()
        until(lambda: not session.mender.busy)
        other = "semsim" if slug == "reference-guided" else "reference-guided"
        after = model.now[slug].copy()
        silent = model.now["ink"][index] == NOT_ANNOTATED
        after[index] = np.where(silent, model.now[other][index], after[index])
        model.write(slug, after)

    def smoothed() -> None:
        slug, volume = session.active, bool(rng.integers(2))
        index = session.references.current_slice()
        session.mender.improve("smooth", 1, volume)
        until(lambda: not session.mender.busy)
        after = model.now[slug].copy()
        if volume:
            after = smooth(after, [1], (2.0, 1.0, 1.0))
        else:
            after[index] = smooth(after[index], [1], (1.0, 1.0))
        silent = model.now["ink"] == NOT_ANNOTATED
        model.write(slug, np.where(silent, after, model.now[slug]))

    def swap() -> None:
        session.activate(session.mender.other().slug)

    moves = [
        lambda: stroke("ink"),
        lambda: stroke(session.active),
        accept,
        take_slice,
        smoothed,
        swap,
    ]
    for _ in range(60):
        chance = rng.random()
        if chance < 0.3:
            # By whichever way: a layer's own undo, the button.
            way = rng.integers(3)
            if way == 0:
                session.references.layer.undo()
            elif way == 1:
                session.shelf.in_view().layer.undo()
            else:
                session.history.undo()
            model.undo()
        elif chance < 0.45:
            panel.session.shelf.in_view().layer.redo()
            model.redo()
        else:
            moves[int(rng.integers(len(moves)))]()
        assert model.same_as(session)
        assert bool(session.history.next_undo) == bool(model.done)
        assert bool(session.history.next_redo) == bool(model.undone)


def test_undo_after_accepting_takes_the_acceptance_back_though_the_proposal_is_selected(
    with_proposal, paint
):
    viewer, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"].layer
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    session.go_to(4)
    paint(proposal, 4, mask, 1)
    panel.review.accept.click()
    assert session.accepted_slices() == [4]
    assert viewer.layers.selection.active is proposal
    proposal.undo()
    assert session.accepted_slices() == []
    assert proposal.data[4, 6, 6] == 1, "the stroke came first and stays"
    proposal.undo()
    assert proposal.data[4, 6, 6] == 0
    proposal.redo()
    session.references.layer.redo()
    assert session.accepted_slices() == [4]


def test_undo_shows_the_slice_where_something_changes(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    session.go_to(4)
    panel.review.accept.click()
    session.go_to(11)
    panel.top.undo.click()
    assert session.references.current_slice() == 4
    assert "Undone: accepting slice 4" in panel.review.hint.text()
    assert "accepting slice 4" in panel.top.redo.toolTip()
    assert session.references.states[4] == 0


def test_a_new_version_ends_the_steps_of_its_proposal_only(with_proposal, paint, until):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    session.go_to(8)
    panel.review.accept.click()
    paint(layer, 3, mask, 1)
    ink = session.references.ink.copy()
    put_proposal(session, np.zeros_like(panel.truth), until)
    shown = layer.data.copy()
    assert shown[3, 6, 6] == 1
    layer.undo()
    assert np.array_equal(layer.data, shown), "old and new proposal were mixed"
    assert not np.array_equal(session.references.ink, ink), "the acceptance is the last step left"
    layer.redo()
    assert np.array_equal(session.references.ink, ink)


def test_more_strokes_than_napari_keeps(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    session.go_to(3)
    states = [layer.data.copy()]
    for k in range(105):
        mask = np.zeros(SHAPE[1:], bool)
        mask[k // 44, k % 44] = True
        paint(layer, 3, mask, 2)
        states.append(layer.data.copy())
    for expected in reversed(states[-101:-1]):
        layer.undo()
        assert np.array_equal(layer.data, expected)
    before = [session.references.ink.copy(), layer.data.copy()]
    layer.undo()  # what comes first now is the marking of the references
    assert np.array_equal(layer.data, before[1])


def test_nothing_is_undone_while_a_stroke_is_drawn(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    paint(layer, 3, mask, 1)
    begun = [callback(layer, Event("mouse_press")) for callback in layer.mouse_drag_callbacks]
    ours = [drag for drag in begun if "_watch_drag" in repr(drag)]
    for drag in ours:
        next(drag)
    layer.undo()
    assert layer.data[3, 6, 6] == 1
    for drag in ours:
        with pytest.raises(StopIteration):
            next(drag)
    layer.undo()
    assert layer.data[3, 6, 6] == 0


def test_undo_brings_the_proposal_into_view_that_it_changes(two_proposals, paint):
    _, panel = two_proposals
    session = panel.session
    session.activate("semsim")
    session.go_to(3)
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    paint(session.proposals["semsim"].layer, 3, mask, 1)
    session.activate("reference-guided")
    session.history.undo()
    assert session.active == "semsim"
    assert session.proposals["semsim"].layer.data[3, 6, 6] == 0


def test_the_oldest_large_steps_go_when_memory_is_short(with_proposal, monkeypatch):
    _, panel = with_proposal
    session = panel.session
    states = [session.references.ink.copy()]
    monkeypatch.setattr("napari_sslseg.app.history.MOST_BYTES", 50_000)
    for index in (2, 3, 4, 5):
        session.go_to(index)
        panel.review.accept.click()
        states.append(session.references.ink.copy())
    for expected in reversed(states[-3:-1]):
        session.history.undo()
        assert np.array_equal(session.references.ink, expected)
    session.history.undo()
    assert np.array_equal(session.references.ink, states[-3]), "nothing older is left"
    assert not panel.top.undo.isEnabled()


class Event:
    """A mouse event that ends as soon as it is looked at again."""

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.button = 1
        self.position = (0.0, 0.0, 0.0)
