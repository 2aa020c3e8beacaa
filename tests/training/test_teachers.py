"""Which other volumes teach, and what."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training import teachers
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.teachers import NOBODY, find_teachers
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.cohort import ink_facts

from .balls import DEPTH, add, ball, label, make_cohort


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "p")


def found(cohort, budget: int = 2**30):
    return find_teachers(cohort.open(""), budget)


def names(cohort) -> list[str]:
    return [teacher.project.info.name for teacher in found(cohort).volumes]


def test_volumes_with_most_references_come_first(cohort):
    assert found(cohort) == NOBODY
    add(cohort, "few", ball(7, 24, 26), (5, 7))
    add(cohort, "bare", ball(7, 20, 21), ())
    add(cohort, "whole", ball(7, 26, 30), range(DEPTH))
    assert names(cohort) == ["whole", "few"]
    assert found(cohort).volumes[1].whole == (5, 7)
    assert found(cohort).classes == {5, 9}


def test_a_volume_where_a_class_was_never_painted_is_not_listened_to(cohort):
    image, truth = ball(7, 26, 30)
    add(cohort, "half", (image, np.where(truth == 9, 0, truth)), range(DEPTH))
    assert found(cohort) == NOBODY


def test_a_class_that_few_slices_have_not_met_yet_is_learned_from_others(tmp_path):
    cohort = make_cohort(tmp_path / "p", ())
    truth = ball(6, 20, 22)[1]
    label(cohort.open(""), np.where(truth == 9, 0, truth), (6,))
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    assert found(cohort).classes == {5, 9}


@pytest.mark.parametrize(("slices", "known"), [((5, 7), False), (range(DEPTH), True)])
def test_a_class_that_hardly_anyone_knows_silences_nobody(cohort, slices, known):
    image, truth = ball(7, 26, 30)
    third = np.where((truth == 5) & (np.arange(48)[None, None] > 30), 12, truth)
    add(cohort, "third", (image, third), slices)
    add(cohort, "few", ball(7, 24, 26), (4, 5, 6, 7))
    assert (12 in found(cohort).classes) == known
    assert names(cohort) == (["third"] if known else ["few", "third"])


def test_strokes_and_broken_volumes_are_passed_over(cohort):
    image, truth = ball(7, 26, 30)
    strokes = add(cohort, "strokes", (image, truth), ())
    ink = strokes.ink_store.load()
    ink[7, 20:30, 20:30] = truth[7, 20:30, 20:30]
    strokes.ink_store.save(ink)
    broken = add(cohort, "broken", ball(7, 25, 25), range(DEPTH))
    (broken.path / "project.json").unlink()
    add(cohort, "whole", ball(7, 24, 26), (5, 7))
    assert names(cohort) == ["whole"]


def test_ink_that_cannot_be_read_elsewhere_does_not_end_this_volume_s_run(cohort, monkeypatch):
    add(cohort, "torn", ball(7, 25, 25), range(DEPTH))
    add(cohort, "whole", ball(7, 24, 26), (5, 7))

    def read(project):
        if project.info.name == "torn":
            raise OSError("torn")
        return ink_facts(project)

    monkeypatch.setattr(teachers, "ink_facts", read)
    assert names(cohort) == ["whole"]


def test_a_volume_too_large_for_the_memory_is_passed_over(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    assert found(cohort, 10_000) == NOBODY
    assert found(cohort).volumes


def test_no_ink_of_its_own_is_no_hindrance(tmp_path):
    cohort = make_cohort(tmp_path / "p", ())
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    assert found(cohort).classes == {5, 9}
    assert NOT_ANNOTATED not in found(cohort).classes


def test_looking_for_them_can_be_cancelled(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        find_teachers(cohort.open(""), 2**30, control.check)
