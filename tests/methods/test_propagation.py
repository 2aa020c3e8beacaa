"""Labels of a few slices carried through a volume."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods import slice_batches
from napari_sslseg.methods.ink_completion import complete_ink, correct_by_ink
from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.propagation import (
    Execution,
    InkedVolume,
    Renewal,
    propagate,
)

from .moving_discs import NONE, dice, disc, ellipsoid, ink_in, moving_disc, propagated, volume_of


def test_identical_slices_get_identical_labels() -> None:
    labels = moving_disc(1, 0).repeat(7, 1, 1)
    labels[:, 20:26, 26:40] = 2
    image = volume_of(labels[:1], noise=0.2).repeat(7, 1, 1, 1)
    result = propagated(image, ink_in(labels, [0, 6]), 3)
    assert torch.equal(result.labels, labels)


@pytest.mark.parametrize("step", [1.0, 4.0, 7.0])
def test_a_moving_shape_is_followed(step: float) -> None:
    labels = moving_disc(7, step, radius=9)
    result = propagated(volume_of(labels), ink_in(labels, [0, 6]), 2)
    assert dice(result.labels[1:6], labels[1:6]) > 0.97


def test_motion_is_followed_where_interpolation_of_the_shapes_would_find_nothing() -> None:
    labels = moving_disc(9, 5.0, radius=8)
    assert not bool((labels[0] & labels[8]).any())
    result = propagated(volume_of(labels), ink_in(labels, [0, 8]), 2)
    assert dice(result.labels[4], labels[4]) > 0.95


def test_ink_is_kept_exactly_even_where_it_contradicts_the_image() -> None:
    labels = moving_disc(5, 1.0)
    ink = ink_in(labels, [0, 4])
    ink[2, :3] = 1
    ink[0, 30:34, 30:34] = 0
    result = propagated(volume_of(labels), ink, 2)
    known = ink != NONE
    assert torch.equal(result.labels[known], ink[known])
    assert bool((result.probabilities.amax(1)[known] == 1).all())
    assert bool((result.confidence[known] == 1).all())


def test_probabilities_are_finite_sum_to_one_and_confidence_is_their_maximum() -> None:
    labels = moving_disc(6, 2.0)
    result = propagated(volume_of(labels, noise=1.0), ink_in(labels, [1, 4]), 4)
    assert result.probabilities.shape == (6, 4, 64, 64)
    assert torch.allclose(result.probabilities.sum(1), torch.ones(6, 64, 64), atol=1e-5)
    for values in (result.confidence, result.agreement):
        assert bool(((values >= 0) & (values <= 1)).all())
    assert bool((result.probabilities[:, 2:] == 0).all()), "classes never inked are impossible"


def test_a_single_reference_serves_the_whole_volume() -> None:
    labels = moving_disc(7, 1.5)
    result = propagated(volume_of(labels), ink_in(labels, [3]), 2)
    assert dice(result.labels, labels) > 0.95


def test_slices_beyond_the_outermost_references_are_predicted() -> None:
    labels = moving_disc(9, 1.0)
    result = propagated(volume_of(labels), ink_in(labels, [3, 5]), 2)
    assert dice(result.labels[:3], labels[:3]) > 0.93
    assert dice(result.labels[6:], labels[6:]) > 0.93


def test_a_shape_that_shrinks_towards_the_end_ends() -> None:
    radii = [16, 13, 10, 7, 4, 0, 0, 0, 0, 0]
    labels = torch.stack([disc((32, 32), r) & (r > 0) for r in radii]).to(torch.uint8)
    # The image does not show where it ends.
    image = volume_of(labels[:1]).repeat(10, 1, 1, 1)
    result = propagated(image, ink_in(labels, [0, 4]), 2)
    assert not bool(result.labels[7:].any())
    assert bool(result.labels[2].any())


def test_unequal_gaps_are_bridged() -> None:
    labels = moving_disc(12, 1.0)
    result = propagated(volume_of(labels), ink_in(labels, [0, 1, 9]), 2)
    assert dice(result.labels, labels) > 0.95


def test_strokes_are_enough() -> None:
    labels = moving_disc(7, 1.0)
    ink = torch.full_like(labels, NONE)
    for z in (0, 6):
        stroke = torch.zeros(64, 64, dtype=torch.bool)
        stroke[31:33] = True
        stroke[8:12, 5:60] = True
        ink[z][stroke] = labels[z][stroke]
    result = propagated(volume_of(labels), ink, 2)
    assert dice(result.labels, labels) > 0.9


def test_a_stroke_between_references_corrects_its_surroundings_and_ruins_nothing() -> None:
    labels = moving_disc(9, 1.0)
    image = volume_of(labels)
    labels[3:6, 40:52, 10:22] = 1  # a part that no reference shows, and grey as nothing else
    image[3:6, :, 40:52, 10:22] = 0.6
    ink = ink_in(labels, [0, 8])
    before = propagated(image, ink, 2)
    ink[4, 44:48, 14:18] = 1
    after = propagated(image, ink, 2)
    part = slice(40, 52), slice(10, 22)
    for z, gain in ((4, 60), (3, 20)):  # where it is, and where it is carried to
        assert int(after.labels[z][part].sum()) > int(before.labels[z][part].sum()) + gain
    assert int((after.labels[:3, :36] != before.labels[:3, :36]).sum()) < 10
    assert dice(after.labels, labels) > dice(before.labels, labels)
    assert after.inked_slices == [0, 8]


def _cross(labels: torch.Tensor, slices: list[int]) -> torch.Tensor:
    """Ink the middle row and column of some slices."""
    ink = torch.full_like(labels, NONE)
    for z in slices:
        ink[z, 32], ink[z, :, 32] = labels[z, 32], labels[z, :, 32]
    return ink


def test_strokes_are_carried_on_though_whole_slices_show_nothing_but_background() -> None:
    labels = moving_disc(11, 0.5)
    labels[[0, 10]] = 0
    ink = _cross(labels, [3, 7])
    alone = propagated(volume_of(labels), ink, 2)
    ink[0] = ink[10] = 0
    result = propagated(volume_of(labels), ink, 2)
    assert result.inked_slices == [0, 3, 7, 10]
    assert dice(result.labels, labels) > max(0.9, dice(alone.labels, labels))


@pytest.mark.parametrize("value", [0, 1])
def test_a_dab_of_one_class_between_strokes_ruins_nothing(value: int) -> None:
    labels = moving_disc(11, 0.5)
    ink = _cross(labels, [2, 8])
    before = propagated(volume_of(labels), ink, 2)
    place = (31, 32) if value else (4, 4)
    assert int(labels[5][place]) == value
    ink[5, place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2] = value
    after = propagated(volume_of(labels), ink, 2)
    assert after.inked_slices == [2, 8]
    assert dice(after.labels, labels) > dice(before.labels, labels) - 0.02


def test_a_dab_across_the_border_ruins_nothing() -> None:
    labels = moving_disc(11, 0.5)
    ink = _cross(labels, [2, 8])
    before = propagated(volume_of(labels), ink, 2)
    edge = int(torch.nonzero(labels[5, 32]).max())
    ink[5, 31:34, edge - 1 : edge + 2] = labels[5, 31:34, edge - 1 : edge + 2]
    after = propagated(volume_of(labels), ink, 2)
    assert after.inked_slices == [2, 8]
    assert dice(after.labels, labels) > dice(before.labels, labels) - 0.02


def test_strokes_of_a_class_that_no_whole_slice_shows_are_carried_on() -> None:
    labels = torch.where(moving_disc(11, 0.5) > 0, 1, 0).to(torch.uint8)
    labels[3:8, 8:18, 8:18] = 2
    ink = ink_in(labels, [0, 10])
    for z in (4, 6):
        ink[z, 13] = labels[z, 13]  # background and the new class
        ink[z, 32] = labels[z, 32]  # background and the known one
    result = propagated(volume_of(labels), ink, 3)
    assert result.inked_slices == [0, 4, 6, 10]
    assert dice(result.labels[3:8], labels[3:8], 2) > 0.8
    ink[4, 32] = ink[6, 32] = NONE  # the known class would end there
    assert propagated(volume_of(labels), ink, 3).inked_slices == [0, 10]


def test_a_slice_inked_across_the_others_helps() -> None:
    labels = moving_disc(13, 0.0, radius=8)
    for z in range(13):
        labels[z] = disc((32, 32), 6 + 1.5 * min(z, 12 - z)).to(torch.uint8)
    image = volume_of(labels, noise=1.5)
    ink = ink_in(labels, [0, 12])
    before = dice(propagated(image, ink, 2).labels, labels)
    ink[:, :, 32] = labels[:, :, 32]
    ink[:, 32, :] = labels[:, 32, :]
    result = propagated(image, ink, 2)
    assert dice(result.labels, labels) > before
    assert torch.equal(result.labels[:, :, 32], labels[:, :, 32])


def test_ink_that_confirms_a_prediction_changes_nothing() -> None:
    features = torch.randn(4, 24, 24, generator=torch.Generator().manual_seed(0))
    predicted = torch.zeros(3, 24, 24)
    predicted[1] = 1.0
    ink = torch.full((24, 24), NONE, dtype=torch.uint8)
    ink[4:8, 4:8] = 1
    assert torch.equal(correct_by_ink(features, ink, predicted), predicted)


def test_a_correction_stops_at_an_edge_and_dies_away() -> None:
    features = torch.zeros(1, 40, 40)
    features[0, :, 20:] = 1.0
    predicted = torch.zeros(2, 40, 40)
    predicted[0], predicted[1] = 0.6, 0.4
    ink = torch.full((40, 40), NONE, dtype=torch.uint8)
    ink[18:22, 14:16] = 1
    found = correct_by_ink(features, ink, predicted)
    assert torch.allclose(found.sum(0), torch.ones(40, 40), atol=1e-5)
    assert (found[1, 18:22, 14:16] == 1).all()
    assert found[1, 20, 18] > 0.5 > found[1, 20, 22]
    assert found[1, 20, 18] > found[1, 20, 10] > found[1, 20, 5] > 0.4 - 1e-6
    assert abs(float(found[1, 2, 2]) - 0.4) < 0.05


def test_every_channel_can_carry_the_contrast() -> None:
    labels = moving_disc(7, 3.0)
    contrast = volume_of(labels)
    noise = volume_of(torch.zeros_like(labels), noise=1.0, seed=1)
    for channels in ([contrast, noise], [noise, contrast], [noise, noise, contrast]):
        result = propagated(torch.cat(channels, 1), ink_in(labels, [0, 6]), 2)
        assert dice(result.labels[1:6], labels[1:6]) > 0.9


def test_learned_features_replace_the_built_in_ones() -> None:
    labels = moving_disc(7, 3.0)
    blank = torch.zeros(7, 1, 64, 64)
    features = 50 * volume_of(labels)
    with_features = propagated(blank, ink_in(labels, [0, 6]), 2, features=features)
    without = propagated(blank, ink_in(labels, [0, 6]), 2)
    assert dice(with_features.labels[1:6], labels[1:6]) > 0.9
    assert dice(without.labels[1:6], labels[1:6]) < 0.8


def test_the_result_is_deterministic() -> None:
    labels = moving_disc(6, 2.0)
    image, ink = volume_of(labels, noise=0.5), ink_in(labels, [0, 5])
    a, b = propagated(image, ink, 2), propagated(image, ink, 2)
    assert torch.equal(a.probabilities, b.probabilities)


def test_an_object_that_grows_beyond_the_region_is_not_cut() -> None:
    radii = (10, 15, 20, 25, 30, 25, 20, 15, 10)
    labels = torch.stack([disc((80, 80), r, 160) for r in radii]).to(torch.uint8)
    # The border around the inked discs is 16 pixels: the widest disc reaches 4 beyond it.
    result = propagated(volume_of(labels), ink_in(labels, [0, 8]), 2)
    assert dice(result.labels[4], labels[4]) > 0.95
    assert int(result.labels[4].any(0).nonzero()[0]) < 53


def test_confidence_is_lower_where_the_result_is_wrong() -> None:
    labels = moving_disc(9, 2.0)
    result = propagated(volume_of(labels, noise=1.5), ink_in(labels, [0, 8]), 2)
    wrong = result.labels != labels
    assert bool(wrong.any())
    assert result.confidence[wrong].mean() < result.confidence[~wrong].mean() - 0.1


def test_the_farther_read_is_a_second_opinion() -> None:
    labels = torch.zeros(9, 64, 64, dtype=torch.uint8)
    labels[:4] = disc((32, 32), 10).to(torch.uint8)
    labels[4:] = disc((32, 32), 4).to(torch.uint8)
    ink = ink_in(labels, [0, 8])
    result = propagated(torch.zeros(9, 1, 64, 64), ink, 2)  # nothing to see: reads stay as they are
    assert int(result.farther[1].sum()) < int(result.farther[7].sum())
    assert torch.equal(result.farther[[0, 8]], labels[[0, 8]])
    alone = propagated(torch.zeros(9, 1, 64, 64), ink_in(labels, [0]), 2)
    assert torch.equal(alone.farther, alone.labels)


def test_progress_rises_to_one() -> None:
    labels = moving_disc(6, 1.0)
    seen: list[float] = []
    volume = InkedVolume(standardise(volume_of(labels)), ink_in(labels, [2, 4]), 2)
    propagate(volume, execution=Execution(progress=seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) > 3


def test_background_only_ink_gives_background() -> None:
    image = volume_of(moving_disc(4, 1.0))
    ink = torch.full((4, 64, 64), NONE, dtype=torch.uint8)
    ink[1] = 0
    assert not bool(propagated(image, ink, 3).labels.any())


def test_bad_input_is_refused_in_words() -> None:
    image, nothing = torch.zeros(3, 1, 8, 8), torch.full((3, 8, 8), NONE, dtype=torch.uint8)
    with pytest.raises(ValueError, match="label at least one slice"):
        propagated(image, nothing, 2)
    ink = nothing.clone()
    ink[0] = 5
    with pytest.raises(ValueError, match="names class 5"):
        propagated(image, ink, 2)
    with pytest.raises(ValueError, match="needs ink"):
        propagated(image, ink[:, :4], 6)
    with pytest.raises(ValueError, match="spacing"):
        propagated(image, ink, 6, spacing=(1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="features"):
        propagated(image, ink, 6, features=image[..., :4])


def test_many_slices_at_once_give_what_they_give_one_by_one(monkeypatch) -> None:
    labels = moving_disc(12, 1.5)
    image, ink = volume_of(labels, noise=0.4), ink_in(labels, [1, 9])
    one_by_one = propagated(image, ink, 2)
    monkeypatch.setattr(slice_batches, "launches_dominate", lambda device: True)
    monkeypatch.setattr(slice_batches, "_MOST", 4)
    at_once = propagated(image, ink, 2)
    # Sums in another order: a read at a low temperature makes more of that than rounding.
    assert torch.allclose(at_once.probabilities, one_by_one.probabilities, atol=1e-3)
    assert torch.equal(at_once.labels, one_by_one.labels)
    assert torch.equal(at_once.farther, one_by_one.farther)


def test_completed_ink_stops_at_an_edge_of_the_image() -> None:
    labels = disc((32, 32), 14).to(torch.uint8)
    features = volume_of(labels[None])[0] * 1.0
    ink = torch.full((64, 64), NONE, dtype=torch.uint8)
    ink[31:33, 28:36] = 1
    ink[2:4] = 0
    result = complete_ink(features, ink, 2)
    assert torch.allclose(result.sum(0), torch.ones(64, 64), atol=1e-5)
    assert dice(result.argmax(0), labels) > 0.95


def test_labels_fade_towards_slices_known_to_be_empty() -> None:
    labels, ink = ellipsoid(), ink_in(ellipsoid(), [8, 13])
    image = torch.zeros(21, 1, 64, 64)  # nothing to see: what is known of the slices decides
    empty = [0, 1, 2, 3, 17, 18, 19, 20]
    result = propagated(image, ink, 2, empty=empty)
    assert result.inked_slices == [8, 13]
    assert result.empty_ends == [3, 17]
    assert result.sources == [3, 8, 13, 17]
    assert not bool(result.labels[empty].any())
    assert bool((result.agreement[empty] == 1).all())
    areas = result.labels.flatten(1).sum(1)[[8, 7, 6, 5, 4]]
    assert bool((areas.diff() <= 0).all())
    assert areas[-1] < 0.7 * areas[0]
    carried = propagated(image, ink, 2)
    ends = [4, 5, 6, 7, 14, 15, 16]
    assert dice(result.labels[ends], labels[ends]) > dice(carried.labels[ends], labels[ends])


def test_ink_counts_beyond_slices_known_to_be_empty() -> None:
    labels = moving_disc(15, 0)
    ink = ink_in(labels, [2, 12])
    result = propagated(volume_of(labels), ink, 2, empty=[0, 5, 6, 7, 8, 12])
    assert torch.equal(result.labels[[2, 12]], labels[[2, 12]])
    assert not bool(result.labels[[0, 5, 6, 7, 8]].any())
    assert bool(result.labels[[3, 11, 14]].flatten(1).any(1).all())


def _coming_and_going(others: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Show a disc everywhere, one only between references 0, 8 and 16, and what may look alike."""
    labels = torch.stack([disc((20, 20), 8)] * 17).to(torch.uint8)
    labels[3:6][:, disc((20, 38), 6)] = 1
    image = volume_of(labels)
    image[:, 0, disc((38, 20), 6)] += others
    return image, labels


def test_what_comes_between_the_references_is_found_where_looks_tell_the_class() -> None:
    image, labels = _coming_and_going(0.0)
    result = propagated(image, ink_in(labels, [0, 8, 16]), 2, spacing=(4.0, 1.0, 1.0))
    assert dice(result.labels[4], labels[4]) > 0.85


def test_what_comes_between_the_references_is_not_believed_where_other_things_look_alike() -> None:
    image, labels = _coming_and_going(1.0)
    result = propagated(image, ink_in(labels, [0, 8, 16]), 2, spacing=(4.0, 1.0, 1.0))
    assert dice(result.labels[4], disc((20, 20), 8)) > 0.9


def test_torch_keeps_to_one_thread_meanwhile_and_gets_its_own_back() -> None:
    labels = moving_disc(5, 1)
    image, ink = volume_of(labels), ink_in(labels, [0, 4])
    usual, seen = torch.get_num_threads(), set()

    def look(share: float) -> None:
        seen.add(torch.get_num_threads())

    torch.set_num_threads(3)
    try:
        propagate(InkedVolume(standardise(image), ink, 2), execution=Execution(progress=look))
        assert seen == {1}
        assert torch.get_num_threads() == 3
        renewal = Renewal(propagated(image, ink, 2), [0])
        with pytest.raises(ValueError, match="another volume"):
            propagated(image[:4], ink[:4], 2, renewal)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)
