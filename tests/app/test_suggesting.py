"""Next slice: never outside of the object, and what is said is true while nothing is counted."""

from __future__ import annotations

import pytest

from napari_sslseg.volume.extent import Extent

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def uncounted(with_proposal, until, monkeypatch):
    """Give a panel whose proposal is not counted, and a way to let it be."""
    _, panel = with_proposal
    shelf = panel.session.shelf
    counts = shelf.open_counts
    until(lambda: shelf.counts() is not None and not (counts._busy or counts._again))
    found = shelf.counts()
    monkeypatch.setattr(shelf, "recount", lambda: None)
    shelf.open_counts._found.clear()

    def count() -> None:
        shelf.open_counts._found["semsim"] = found
        shelf.open_counts.counted.emit("semsim")

    return panel, count


def test_when_the_object_is_known_nothing_outside_is_suggested(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.extent.say(Extent(5, 7))
    until(lambda: session.shelf.counts() is not None)
    for index in (5, 7):
        session.references.mark(index)
    session.go_to(6)
    panel.review.next.click()
    assert session.references.current_slice() == 6
    assert panel.review.hint.text() == "Every slice of the object is known: export in step 5."


def test_next_slice_waits_for_the_count(uncounted):
    panel, count = uncounted
    session, hint = panel.session, panel.review.hint
    session.go_to(0)
    panel.review.next.click()
    assert session.references.current_slice() == 0
    assert "is being counted" in hint.text()
    count()
    index = session.references.current_slice()
    assert index != 0
    assert hint.text().startswith(f"Slice {index}: ")
    count()
    assert session.references.current_slice() == index, "once is enough"


def test_what_was_accepted_is_still_said_while_it_is_counted(uncounted):
    panel, count = uncounted
    session, hint = panel.session, panel.review.hint
    session.go_to(5)
    panel.review.accept_next.click()
    assert hint.text().startswith("Slice 5 is a reference now. Undo: Ctrl+Z. One moment")
    session.go_to(2)
    count()
    assert session.references.current_slice() == 2, "who went elsewhere stays there"
    assert hint.text() == "Slice 5 is a reference now. Undo: Ctrl+Z."


def test_a_count_that_fails_is_waited_for_no_longer(uncounted):
    panel, count = uncounted
    session = panel.session
    session.go_to(0)
    panel.review.next.click()
    session.shelf.open_counts.failed.emit(OSError("gone"))
    assert "could not be counted" in panel.review.hint.text()
    count()
    assert session.references.current_slice() == 0
