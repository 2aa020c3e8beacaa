"""The matching of one run, taken over by the next."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training.kept_matching import MOMENTS, KeptMatching
from napari_sslseg.volume.annotation import NOT_ANNOTATED


@pytest.fixture
def propagated(project, stack):
    found = propagate(stack.inked_volume())
    KeptMatching(project, stack).keep(found, 60.0)
    return found


def test_it_comes_back_as_it_was(project, stack, propagated):
    renewal, seconds = KeptMatching(project, stack).renewal()
    assert seconds == 60
    assert list(renewal.changed) == []
    back = renewal.previous
    assert torch.allclose(back.probabilities, propagated.probabilities, atol=1e-3)
    assert torch.allclose(back.agreement, propagated.agreement, atol=1e-3)
    assert torch.equal(back.farther, propagated.farther)
    assert torch.equal(back.labels, propagated.labels)
    assert (back.inked_slices, back.empty_ends) == (propagated.inked_slices, propagated.empty_ends)
    assert back.probabilities.dtype == torch.float32
    again = propagate(stack.inked_volume(), renewal=renewal)
    assert torch.equal(again.probabilities, back.probabilities)


def test_slices_with_other_ink_have_changed(project, stack, propagated):
    stack.ink[7] = stack.ink[5]  # a new reference
    stack.ink[9, 3, 3] = 1  # a voxel of one
    stack.ink[12] = NOT_ANNOTATED  # one less
    stack.ink[3, 0, 0] = 0  # a stroke
    assert list(KeptMatching(project, stack).renewal()[0].changed) == [3, 7, 9, 12]


def test_only_what_depends_on_a_new_reference_is_matched_anew(project, stack, truth, propagated):
    stack.ink[7] = torch.from_numpy((truth[7] > 0).astype("uint8") + (truth[7] > 3))
    found = propagate(stack.inked_volume(), renewal=KeptMatching(project, stack).renewal()[0])
    kept = KeptMatching(project, stack).renewal()[0].previous
    same = [torch.equal(found.probabilities[z], kept.probabilities[z]) for z in range(len(truth))]
    assert [z for z, alike in enumerate(same) if not alike] == [6, 7, 8]


@pytest.mark.parametrize(
    "change",
    [
        lambda project, stack: setattr(project.info, "digest", "of another image"),
        lambda project, stack: setattr(stack, "class_ids", (0, 3, 5, 6)),
        lambda project, stack: setattr(stack, "outside", [13]),
        lambda project, stack: setattr(stack, "axis", 1),
    ],
    ids=["image", "classes", "extent", "axis"],
)
def test_with_anything_else_but_the_ink_changed_nothing_is_taken_over(
    project, stack, propagated, change
):
    change(project, stack)
    assert KeptMatching(project, stack).renewal() is None


def test_what_is_soon_made_anew_is_not_kept_nor_what_there_was_before(project, stack, propagated):
    assert KeptMatching(project, stack).renewal() is not None
    KeptMatching(project, stack).keep(propagated, MOMENTS)
    assert KeptMatching(project, stack).renewal() is None
    assert list(project.kept.iterdir()) == []
