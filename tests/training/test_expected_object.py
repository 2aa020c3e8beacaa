"""What an object is likely to be like of which few slices show little."""

from __future__ import annotations

import shutil

import pytest
import torch

from napari_sslseg.training.expected_object import ExpectedObject
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.teachers import NOBODY, find_teachers

from .balls import DEPTH, add, ball, make_cohort

BUDGET = 2**30


@pytest.fixture
def cohort(tmp_path):
    """Make a project whose first volume shows an end of a ball."""
    return make_cohort(tmp_path / "p", slices=(3,))


def stack_of(cohort) -> SliceStack:
    project = cohort.open("")
    return SliceStack.from_volume(project.image(), project.all_ink(), 0, project.info.spacing)


def expected(cohort) -> ExpectedObject:
    teachers = find_teachers(cohort.open(""), BUDGET)
    return ExpectedObject.of(teachers, stack_of(cohort), lambda: None)


def test_the_largest_object_elsewhere_says_how_much_room_is_needed(cohort):
    add(cohort, "part", ball(7, 20, 26), (3, 4))
    add(cohort, "whole", ball(7, 24, 26), range(DEPTH))
    found = expected(cohort)
    assert (found.rows, found.columns) == (17, 17)  # a radius of 9 pixels
    assert 0 < found.detail < 9  # the thinnest of all


def test_it_is_told_in_pixels_of_the_volume_of_the_run(cohort):
    fine = ball(7, 24, 26, fine=2)
    add(cohort, "fine", fine, range(DEPTH), spacing=(2.0, 0.5, 0.5))
    found = expected(cohort)
    assert found.rows == pytest.approx(17.5, abs=1)
    assert found.detail < 9


def test_there_is_so_much_room_around_the_middle_of_what_is_known(cohort):
    stack = stack_of(cohort)
    nothing = torch.zeros(1, *stack.ink.shape[1:])
    found = ExpectedObject(20.0, 10.0, 1.0).around(nothing, stack.ink)[0]
    rows, columns = (torch.nonzero(found.any(i)).flatten() for i in (1, 0))
    assert (len(rows), len(columns)) == (20, 10)
    assert float(rows.float().mean()) == pytest.approx(20, abs=1)
    assert float(columns.float().mean()) == pytest.approx(22, abs=1)
    assert not nothing.any()


def test_what_may_be_object_stays_so(cohort):
    stack = stack_of(cohort)
    everywhere = torch.ones(1, *stack.ink.shape[1:])
    assert ExpectedObject(4.0, 4.0, 1.0).around(everywhere, stack.ink).equal(everywhere)


def test_where_nothing_is_known_nothing_is_expected_anywhere(cohort):
    stack = stack_of(cohort)
    stack.ink[:] = 255
    nothing = torch.zeros(1, *stack.ink.shape[1:])
    assert ExpectedObject(4.0, 4.0, 1.0).around(nothing, stack.ink) is nothing


def test_nobody_tells_nothing(cohort):
    found = ExpectedObject.of(NOBODY, stack_of(cohort), lambda: None)
    assert found == ExpectedObject(0.0, 0.0, 0.0)


def test_a_volume_that_can_no_longer_be_read_tells_nothing(cohort):
    other = add(cohort, "gone", ball(7, 24, 26), range(DEPTH))
    teachers = find_teachers(cohort.open(""), BUDGET)
    shutil.rmtree(other.path)
    found = ExpectedObject.of(teachers, stack_of(cohort), lambda: None)
    assert found.rows == 0


def test_one_that_cannot_be_used_is_named(cohort):
    other = add(cohort, "broken", ball(7, 24, 26), range(DEPTH))
    teachers = find_teachers(cohort.open(""), BUDGET)
    (other.path / "ink.000000.journal").unlink()
    (other.path / "ink.000000.journal").mkdir()
    missed = []
    found = ExpectedObject.of(teachers, stack_of(cohort), lambda: None, missed.append)
    assert found == ExpectedObject(0.0, 0.0, 0.0)
    assert missed == ["broken"]


def test_an_error_of_our_own_is_not_taken_for_one(cohort, monkeypatch):
    other = add(cohort, "other", ball(7, 24, 26), range(DEPTH))
    teachers = find_teachers(cohort.open(""), BUDGET)

    stack = stack_of(cohort)

    def broken(project):
        raise ValueError("shapes do not match")

    monkeypatch.setattr(type(other), "all_ink", broken)
    with pytest.raises(ValueError, match="shapes do not match"):
        ExpectedObject.of(teachers, stack, lambda: None)
