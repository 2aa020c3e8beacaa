"""What is measured of a teacher, computed by hand."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.label_space import LabelSpace
from napari_sslseg.methods.teacher_trust import MARGIN, TeacherTrust


def _trust(classes=3, overlapping=False, rate=0.5):
    return TeacherTrust(("a", "b"), LabelSpace(classes, overlapping), rate)


def _row(*values):
    return torch.tensor([[values]])


def test_a_teacher_that_nothing_is_known_of_counts_in_full():
    trust = _trust()
    assert trust.of_classes("a")[0].tolist() == [1, 1, 1]
    assert trust.of_labels("b", _row(0, 1, 2)).tolist() == [[[1, 1, 1]]]


def test_a_teacher_counts_by_the_errors_of_the_plain_one_over_its_own():
    trust = _trust()
    truth = _row(0, 0, 0, 0, 1, 1, 2, 2, 255)
    plain = _row(0, 0, 0, 0, 1, 0, 2, 2, 1)
    found = _row(0, 0, 0, 0, 1, 1, 2, 0, 1)
    trust.try_out("a", found, plain, truth)
    # Dice: background 8/9 in both, class 1: 1 and 2/3, class 2: 2/3 and 1.
    expected = torch.tensor([[8 / 9, 1.0, 2 / 3], [8 / 9, 2 / 3, 1.0]])
    torch.testing.assert_close(trust.accuracy("a"), expected)
    worse = MARGIN / (1 / 3 + MARGIN)
    torch.testing.assert_close(trust.skill("a"), torch.tensor([1.0, 1.0, worse]))
    torch.testing.assert_close(trust.of_classes("a")[0], torch.tensor([1.0, 1.0, worse]))
    assert trust.skill("b").tolist() == [1, 1, 1]  # each has sums of its own


def test_pixels_that_a_teacher_says_nothing_about_are_none_of_its_errors():
    trust = _trust()
    truth = _row(0, 1, 1, 2)
    trust.try_out("a", _row(0, 1, 255, 2), truth, truth)
    trust.try_out("b", truth, _row(0, 1, 255, 2), truth)
    for teacher in "ab":
        torch.testing.assert_close(trust.accuracy(teacher), torch.ones(2, 3))


def test_sums_follow_the_batches_and_a_class_that_is_not_there_changes_nothing():
    trust = _trust(rate=0.25)
    truth, wrong = _row(1, 1, 0, 0), _row(0, 0, 0, 0)
    trust.try_out("a", truth, truth, truth)
    trust.try_out("a", wrong, truth, truth)
    # Right with the weight 3/4 * 1/4, wrong with 1/4: sums of 4 and of 2 pixels.
    overlap, size = 0.1875 * 2, 0.1875 * 4 + 0.25 * 2
    assert trust.accuracy("a")[0, 1] == pytest.approx(2 * overlap / size)
    before = trust.accuracy("a")[:, 1].clone()
    empty = _row(0, 0, 0, 0)
    trust.try_out("a", empty, empty, empty)
    torch.testing.assert_close(trust.accuracy("a")[:, 1], before)


def test_shares_bound_recall_and_precision():
    trust = _trust()
    truth = _row(1, 1, 1, 1, 2, 2, 0, 0, 0, 0)  # .4 and .2, and .4 background
    found = _row(1, 1, 1, 2, 2, 2, 0, 0, 0, 0)  # .3 and .3, and .4
    trust.compare("a", found, truth, truth)
    torch.testing.assert_close(trust.recall("a"), torch.tensor([1.0, 0.75, 1.0]))
    torch.testing.assert_close(trust.precision("a"), torch.tensor([1.0, 1.0, 2 / 3]))
    # A quarter of class 1 may be called background: 1/2 is gained; of class 2, 2/3 less 1/3, and
    # background counts no more than the least of both.
    expected = torch.tensor([[[1 / 3, 1.0, 1 / 3, 1 / 3]]])
    torch.testing.assert_close(trust.of_labels("a", _row(0, 1, 2, 255)), expected)


def test_background_counts_by_the_class_that_is_missed_most():
    trust = _trust()
    truth = _row(0, 0, 0, 0, 1, 1, 1, 1, 2, 2)
    trust.compare("a", _row(0, 0, 0, 0, 0, 1, 1, 1, 2, 0), truth, truth)
    # Recalls of 3/4 and 1/2; and background is said of 6 pixels where there are 4.
    assert trust.of_labels("a", _row(0)).item() == 0
    torch.testing.assert_close(trust.of_labels("a", _row(1, 2)), torch.ones(1, 1, 2))


def test_a_teacher_that_sees_background_alone_or_a_class_everywhere_teaches_nothing():
    truth = _row(0, 0, 1, 2)
    trust = _trust()
    trust.compare("a", _row(0, 0, 0, 0), truth, truth)
    assert trust.of_labels("a", _row(0, 0, 0, 0)).sum() == 0
    trust = _trust()
    trust.compare("a", _row(1, 1, 1, 1), truth, truth)
    assert trust.of_labels("a", _row(1, 1, 1, 1)).sum() == 0


def test_where_nothing_is_annotated_the_network_says_how_frequent_classes_are():
    trust = _trust()
    annotation, plain = _row(1, 255, 255, 255), _row(0, 1, 0, 0)
    trust.compare("a", _row(1, 0, 0, 0), plain, annotation)
    assert trust.recall("a").tolist() == [1, 0.5, 1]  # one in two, and no class 2 to miss


def test_overlapping_classes_are_measured_one_by_one():
    truth = torch.tensor([[[[1, 1, 1, 0]], [[1, 255, 0, 0]]]])
    found = torch.tensor([[[[1, 0, 0, 0]], [[1, 0, 1, 0]]]])
    trust = _trust(2, overlapping=True)
    trust.try_out("a", found, truth.clamp(max=1), truth)
    torch.testing.assert_close(trust.accuracy("a")[0], torch.tensor([1 / 2, 2 / 3]))
    trust = _trust(2, overlapping=True)
    found = torch.tensor([[[[1, 1, 0, 0]], [[1, 1, 1, 0]]]])
    trust.compare("a", found, truth.clamp(max=1), truth)
    # Two of three, so that a third is gained of the answer no; three where there are two (the pixel
    # without annotation is said to be one), so that a third is gained of the answer yes.
    torch.testing.assert_close(trust.recall("a"), torch.tensor([2 / 3, 1.0]))
    torch.testing.assert_close(trust.precision("a"), torch.tensor([1.0, 2 / 3]))
    expected = torch.where(found == 1, torch.tensor([1.0, 1 / 3]).view(1, 2, 1, 1), 1 / 3)
    expected[:, 1][found[:, 1] == 0] = 1.0
    torch.testing.assert_close(trust.of_labels("a", found), expected)


def test_an_unskilled_teacher_says_no_as_badly_as_yes():
    trust = _trust(classes=1, overlapping=True)
    truth = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    trust.try_out("a", 1 - truth, truth, truth)  # wrong everywhere
    skill = trust.skill("a")
    assert skill.item() == pytest.approx(MARGIN / (1 + MARGIN))
    assert trust.of_classes("a")[1].item() == pytest.approx(skill.item())


def test_what_is_known_is_saved_with_the_state():
    trust, other = _trust(), _trust()
    truth = _row(0, 1, 2, 2)
    trust.try_out("a", _row(0, 1, 2, 1), truth, truth)
    trust.compare("a", _row(0, 1, 2, 1), truth, truth)
    other.load_state_dict(trust.state_dict())
    for one, two in zip(other.of_classes("a"), trust.of_classes("a"), strict=True):
        torch.testing.assert_close(one, two)
