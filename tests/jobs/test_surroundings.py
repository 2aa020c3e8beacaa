"""What another computer has: asked of real processes, with a script in place of ssh."""

from __future__ import annotations

import sys

import pytest

from napari_sslseg.jobs.place import Place, PlaceError
from napari_sslseg.jobs.surroundings import look_around


def test_a_computer_tells_of_its_gpu_with_the_command_that_gets_it_one(elsewhere):
    (elsewhere / "srun").write_text(
        '#!/bin/sh\necho run >> calls\necho "job 7 begins"\nexec "$@"\n'
    )
    (elsewhere / "srun").chmod(0o755)
    found = look_around(Place("gpu-server", f"./srun {sys.executable}"))
    assert isinstance(found.gpu, str)
    assert (elsewhere / "calls").read_text() == "run\n"  # not for the files as well


def test_a_gpu_that_does_not_come_is_not_waited_for_without_end(elsewhere):
    with pytest.raises(PlaceError, match=r"was reached, but “sleep 30; .* has not begun within 1"):
        look_around(Place("gpu-server", f"sleep 30; {sys.executable}"), patience=1)


def test_what_the_command_complains_of_is_told(elsewhere):
    with pytest.raises(PlaceError, match="no partition"):
        look_around(Place("gpu-server", f"echo no partition >&2; false {sys.executable}"))


def test_a_computer_that_cannot_be_reached_is_told(elsewhere):
    with pytest.raises(PlaceError, match="set up a key"):
        look_around(Place("locked", sys.executable))
