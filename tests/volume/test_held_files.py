"""Files that another program holds for a moment."""

from __future__ import annotations

import pytest

from napari_sslseg.volume.held_files import patiently


def refusals(count, number):
    """Return an action that Windows would refuse so often, with the number of its reason."""
    left = [count]

    def action():
        if left[0]:
            left[0] -= 1
            error = PermissionError(13, "refused")
            error.winerror = number
            raise error
        return "done"

    return action, left


@pytest.mark.parametrize("number", [5, 32])
def test_what_is_refused_for_a_moment_is_tried_again(number):
    action, left = refusals(3, number)
    assert patiently(action) == "done"
    assert left == [0]


@pytest.mark.parametrize(("number", "tries"), [(32, 6), (None, 1), (1224, 1)])
def test_what_stays_refused_is_told_and_what_waiting_does_not_help_at_once(number, tries):
    action, left = refusals(100, number)
    with pytest.raises(PermissionError):
        patiently(action)
    assert left == [100 - tries]
