"""RPG: neighbours, label transfer, weights and gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.matching import (
    _target,
    agreement_weight,
    match,
    match_each_other,
    rpg_loss,
    transfer,
    votes,
)
from napari_sslseg.methods.nearest import nearest_references
from napari_sslseg.methods.reference_pool import ReferencePool, as_rows


def _maps(n=2, d=8, s=12, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, s, s, generator=g), torch.randint(0, classes, (n, s, s), generator=g)


@pytest.mark.parametrize("k", [1, 3, 5, 20])
def test_label_is_that_of_the_nearest_reference_for_any_k(k):
    features, labels = _maps()
    queries = _maps(seed=1)[0]
    pool = ReferencePool.from_maps(features, labels, 4)
    found = match(queries, pool, k=k)
    flat = F.normalize(queries, dim=1).permute(0, 2, 3, 1).reshape(-1, 8)
    nearest = (flat @ pool.features.T).argmax(1)
    assert torch.equal(found.labels.flatten(), pool.symbols[nearest])


def test_result_does_not_depend_on_blocks():
    features, labels = _maps()
    queries = _maps(seed=1)[0]
    pool = ReferencePool.from_maps(features, labels, 4)
    small, large = match(queries, pool, block=2000), match(queries, pool, block=10**9)
    assert torch.equal(small.labels, large.labels)
    torch.testing.assert_close(small.weight, large.weight)


@pytest.mark.parametrize("options", [{}, {"refine": "features"}, {"temperature": 0.1}])
def test_matches_are_in_single_precision_whatever_the_rest_runs_in(options):
    features, labels = _maps()
    queries, pool = _maps(seed=1)[0], ReferencePool.from_maps(features, labels, 4)
    plain = match(queries, pool, **options)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = match(queries, pool, **options)
    assert torch.equal(mixed.labels, plain.labels)
    assert torch.equal(mixed.probabilities, plain.probabilities)
    assert torch.equal(mixed.weight, plain.weight)


def test_an_image_identical_to_a_reference_takes_its_labels():
    features, labels = _maps()
    pool = ReferencePool.from_maps(features, labels, 4)
    assert torch.equal(match(features, pool).labels, labels)


def test_ignored_reference_pixels_are_never_returned():
    features, labels = _maps()
    labels[:, :, 3:] = 255
    pool = ReferencePool.from_maps(features, labels, 4)
    found = match(features, pool)
    assert len(pool) == 2 * 12 * 3
    assert found.labels.max() < 4
    assert torch.equal(found.labels[..., :3], labels[..., :3])


def test_empty_pool_teaches_nothing():
    features, labels = _maps()
    pool = ReferencePool.from_maps(features, torch.full_like(labels, 255), 4)
    found = match(features, pool)
    assert (found.labels == 255).all()
    assert torch.equal(found.probabilities, torch.zeros(2, 4, 12, 12))
    logits = torch.randn(2, 4, 12, 12, requires_grad=True)
    loss = rpg_loss(logits, found.labels, found.weight)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize(("distinct", "expected"), [(1, 1.0), (2, 0.5), (3, 0.2075), (4, 0.0)])
def test_weight_falls_with_the_number_of_labels_among_the_neighbours(distinct, expected):
    marginals = torch.zeros(1, 4)
    marginals[0, :distinct] = 1 / distinct
    assert agreement_weight(marginals).item() == pytest.approx(expected, abs=1e-3)


def test_multilabel_weight_by_hand():
    one_disputed = torch.tensor([[1.0, 0.5, 0, 0, 0]])
    two_disputed = torch.tensor([[1.0, 0.5, 0.5, 0, 0]])
    assert agreement_weight(one_disputed).item() == pytest.approx(0.785, abs=1e-3)
    assert agreement_weight(two_disputed).item() == pytest.approx(0.569, abs=1e-3)


def test_weight_is_never_negative_even_where_the_entropy_exceeds_one():
    marginals = torch.full((1, 5), 1 / math.e)
    assert (-(marginals * marginals.log()).sum() / math.log(5)).item() > 1.1
    assert agreement_weight(marginals).item() == 0


def test_scores_and_probabilities_by_hand():
    similarities = torch.tensor([[0.9, 0.6, 0.3], [0.5, 0.8, 0.4]])
    symbols = torch.tensor([[2, 2, 0], [1, 0, 1]])
    scores = votes(similarities, symbols)
    torch.testing.assert_close(scores, torch.tensor([[0.9, 0.0, 0.3], [0.5, 0.8, 0.0]]))
    choice, probs = transfer(scores)
    assert choice.tolist() == [0, 1]
    expected = torch.tensor([[0.75, 0.0, 0.25], [0.5 / 1.3, 0.8 / 1.3, 0.0]])
    torch.testing.assert_close(probs, expected)
    # A label that is not sorted first, as after standardising, has its best score all the same.
    late = votes(torch.tensor([[0.2, 0.7]]), torch.tensor([[1, 1]]))
    torch.testing.assert_close(late, torch.tensor([[0.7, 0.0]]))


def test_softmax_of_scores_by_hand():
    scores = torch.tensor([[0.9, 0.0, 0.3], [0.0, 0.0, 0.0]])
    choice, probs = transfer(scores, temperature=0.3)
    e = math.exp(2)
    torch.testing.assert_close(probs[0], torch.tensor([e / (e + 1), 0.0, 1 / (e + 1)]))
    assert probs[1].tolist() == [0, 0, 0]
    assert choice.tolist() == [0, 0]


def test_divided_scores_change_the_choice():
    scores = torch.tensor([[0.9, 0.0, 0.6]])
    choice, probs = transfer(scores, torch.tensor([[2.0, 1.0, 1.0]]))
    assert choice.item() == 2
    torch.testing.assert_close(probs, torch.tensor([[0.45 / 1.05, 0.0, 0.6 / 1.05]]))


def test_small_temperature_trusts_the_nearest_and_changes_no_label():
    features, labels = _maps()
    pool, queries = ReferencePool.from_maps(features, labels, 4), _maps(seed=1)[0]
    plain, sharp = match(queries, pool), match(queries, pool, temperature=0.001)
    assert torch.equal(plain.labels, sharp.labels)
    assert sharp.weight.mean() > plain.weight.mean()


def _directions(*degrees):
    """Return features ``(1, 3, 1, n)`` in a plane."""
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin(), 0 * angles])[None, :, None]


def test_two_labels_among_the_neighbours_share_the_probability():
    # Two references with one label each: from the east, and from 60 degrees north of it.
    pool = ReferencePool.from_maps(_directions(0.0, 60.0), torch.tensor([[[1, 2]]]), 4)
    found = match(_directions(30.0, 0.0), pool, k=2)
    # As near to both; and at similarities of 1 and 1/2.
    expected = torch.tensor([[0, 0.5, 0.5, 0], [0, 2 / 3, 1 / 3, 0]])
    torch.testing.assert_close(found.probabilities[0, :, 0].T, expected)
    entropy = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(4)
    torch.testing.assert_close(found.weight, torch.tensor([[[0.5, 1 - entropy]]]))
    assert found.labels[0, 0, 1] == 1


def test_two_label_sets_among_the_neighbours_by_hand():
    sets = torch.tensor([[[[1, 1]], [[1, 0]], [[0, 0]]]])  # {0, 1} and {0}
    pool = ReferencePool.from_maps(_directions(0.0, 60.0), sets, 3)
    found = match(_directions(30.0), pool, k=2)
    torch.testing.assert_close(found.probabilities.flatten(), torch.tensor([1.0, 0.5, 0.0]))
    torch.testing.assert_close(found.weight.item(), 1 - 0.5 * math.log(2) / math.log(3))


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("refine", [None, "full"])
@pytest.mark.parametrize("standardise", [False, True])
def test_label_is_the_likeliest_whatever_ranks_the_neighbours(
    standardise, refine, temperature, multilabel
):
    features, labels = _maps()
    if multilabel:  # sets that exclude each other, so that marginals are theirs
        labels = F.one_hot(labels, 4).movedim(-1, 1)
    pool = ReferencePool.from_maps(features, labels, 4)
    options = {"standardise": standardise, "refine": refine, "temperature": temperature}
    found = match(_maps(seed=1)[0], pool, **options)
    chosen = found.labels.argmax(1) if multilabel else found.labels
    assert torch.equal(chosen, found.probabilities.argmax(1))


def test_opposite_features_are_not_similar_and_not_trusted():
    features = torch.ones(1, 2, 2, 2)
    pool = ReferencePool.from_maps(features, torch.ones(1, 2, 2).long(), 2)
    found = match(-features, pool)
    assert torch.equal(found.weight, torch.zeros(1, 2, 2))


def test_label_sets_are_matched_as_a_whole():
    g = torch.Generator().manual_seed(0)
    features = torch.rand(1, 8, 6, 6, generator=g)
    labels = torch.randint(0, 2, (1, 3, 6, 6), generator=g)
    labels[:, 1, 0, 0] = 255
    pool = ReferencePool.from_maps(features, labels, 3)
    found = match(features, pool, k=1)
    assert len(pool) == 35
    assert torch.equal(found.labels[..., 1:, :], labels[..., 1:, :].float())
    assert torch.allclose(found.weight, torch.ones(1, 6, 6))
    known = {tuple(v) for v in labels.permute(0, 2, 3, 1).reshape(-1, 3).tolist()}
    assert {
        tuple(v) for v in found.labels.permute(0, 2, 3, 1).reshape(-1, 3).long().tolist()
    } <= known


def test_grid_bounds_queries_and_pool():
    features, labels = _maps(s=20)
    pool = ReferencePool.from_maps(features, labels, 4, grid=5)
    assert len(pool) == 2 * 25
    assert match(features, pool, grid=5).labels.shape == (2, 5, 5)


def _two_images_of_two_labels():
    """Return a pool, and 16 pixels that are nearer to its label 1 than to 2, each a bit less.

    The first image has both labels where the pixels can see them, a quarter being 2; an eighth of
    the second is, out of their sight.
    """
    east, north, up = (torch.tensor(v) for v in ([1.0, 0, 0], [0.0, 1, 0], [0.0, 0, 1]))
    rows = torch.stack([*[east] * 6, *[north] * 2, *[up] * 8])
    features = rows.view(2, 1, 8, 3).permute(0, 3, 1, 2)
    labels = torch.tensor([[[1] * 6 + [2] * 2], [[1] * 7 + [2]]])
    queries = _directions(*torch.linspace(43, 44.9, 16).tolist())
    return ReferencePool.from_maps(features, labels, 3), queries


@pytest.mark.parametrize(
    ("source", "most"),
    [("full", 3), ("features", 4), ("distribution", 2)],
)
def test_refined_labels_are_as_frequent_as_in_the_whole_pool_or_the_nearest_image(source, most):
    pool, queries = _two_images_of_two_labels()
    plain, found = (match(queries, pool, k=8, refine=r) for r in (None, source))
    assert (plain.labels == 1).all()
    # Those that are nearest to 2 change sides, as many as are 2 of 3/16, of a quarter in the image
    # whose features are nearest, or of an eighth in that whose labels are, where all are 1.
    assert found.labels.flatten().tolist() == [1] * (16 - most) + [2] * most
    assert (found.probabilities[:, 2] > plain.probabilities[:, 2]).all()


def test_the_nearest_image_is_that_of_the_mean_direction_or_of_the_label_frequencies():
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    features = torch.stack([east, north, east])[:, :, None, None].expand(3, 2, 1, 4)
    labels = torch.tensor([[[1, 1, 2, 2]], [[1, 1, 1, 2]], [[255] * 4]])
    pool = ReferencePool.from_maps(features, labels, 3)
    # Three of five look north, though the two that look east are longer.
    queries = torch.stack([100 * east, 100 * east, 100 * north, north, north])
    plain = torch.tensor([1, 1, 1, 2])
    for source in ("features", "distribution"):
        assert _target(pool, source, queries, plain).tolist() == [0, 0.75, 0.25]
    # The image without annotation has no label that differs from what is predicted.
    assert _target(pool, "distribution", queries, 0 * plain).tolist() == [0, 0.5, 0.5]


def test_refining_goes_by_the_labels_that_are_transferred_not_by_those_that_rank_first():
    # One image has label 1 alone, the other label 2. All pixels are nearer to 1. But that one is
    # near to all of them, so that for three of four label 2 ranks first, standardised.
    features = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).view(2, 3, 1, 1)
    pool = ReferencePool.from_maps(features, torch.tensor([1, 2]).view(2, 1, 1), 3)
    queries = _directions(0, 40, 40, 40)
    first = nearest_references(as_rows(queries), pool, 2, standardise=True)[1][:, 0]
    assert pool.symbols[first].tolist() == [1, 2, 2, 2]
    plain, found = (
        match(queries, pool, 2, standardise=True, refine=source)
        for source in (None, "distribution")
    )
    assert (plain.labels == 1).all()
    assert torch.equal(found.labels, plain.labels)


def test_specks_are_cleaned_from_matched_labels():
    features, labels = torch.zeros(1, 2, 6, 6), torch.ones(1, 6, 6).long()
    labels[0, :, 3:], labels[0, 1, 1] = 2, 0
    for label, direction in enumerate(([1.0, 0.0], [0.6, 0.8], [0.0, 1.0])):
        features[0, :, labels[0] == label] = torch.tensor(direction)[:, None]
    pool = ReferencePool.from_maps(features, labels, 3)
    assert torch.equal(match(features, pool, k=1).labels, labels)
    found = match(features, pool, k=1, morph=True)
    labels[0, 1, 1] = 1
    assert torch.equal(found.labels, labels)


def test_a_pool_of_few_annotated_pixels_never_finds_others():
    features, labels = _maps()
    keep = torch.zeros_like(labels, dtype=torch.bool)
    keep[0, 0, :3] = True
    labels = labels.masked_fill(~keep, 255)
    pool = ReferencePool.from_maps(features, labels, 4)
    assert len(pool) == 3  # fewer than the neighbours asked for
    found = match(_maps(seed=1)[0], pool, k=5)
    few = match(_maps(seed=1)[0], pool, k=3)
    assert torch.equal(found.labels, few.labels)
    torch.testing.assert_close(found.weight, few.weight)
    assert set(found.labels.unique().tolist()) <= set(labels[keep].tolist())


def test_no_gradient_reaches_the_pool_or_the_queries():
    features, labels = _maps()
    features.requires_grad_()
    queries = _maps(seed=1)[0].requires_grad_()
    pool = ReferencePool.from_maps(features, labels, 4)
    found = match(queries, pool)
    logits = torch.zeros(2, 4, 12, 12, requires_grad=True)
    rpg_loss(logits, found.labels, found.weight).backward()
    assert not pool.features.requires_grad
    assert features.grad is None
    assert queries.grad is None
    assert logits.grad.abs().sum() > 0


def test_rpg_loss_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]).view(1, 2, 1, 2)
    labels, weight = torch.tensor([[[0, 0]]]), torch.tensor([[[1.0, 0.5]]])
    expected = (math.log(2) + 0.5 * math.log(4)) / 2
    assert rpg_loss(logits, labels, weight).item() == pytest.approx(expected)
    both = torch.ones(1, 2, 1, 2)
    bce = (math.log(2) + 0.5 * (math.log(2) + math.log(4 / 3)) / 2) / 2
    assert rpg_loss(logits, both, weight).item() == pytest.approx(bce)
    both[..., 1] = 255  # that pixel is counted, but teaches nothing
    assert rpg_loss(logits, both, weight).item() == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("source", ["full", "features", "distribution"])
def test_refined_matching_gives_labels_and_weights_in_range(source, multilabel):
    features, labels = _maps()
    if multilabel:
        labels = torch.stack([labels > 0, labels > 1, labels > 2], 1).long()
    labels[0, ..., :4] = 255
    pool = ReferencePool.from_maps(features, labels, 4 - multilabel)
    found = match(_maps(seed=1)[0], pool, refine=source, morph=True)
    assert found.labels.shape == ((2, 3, 12, 12) if multilabel else (2, 12, 12))
    assert found.labels.max() <= 3
    assert ((found.weight >= 0) & (found.weight <= 1)).all()
    if multilabel:  # sets stay sets of the pool: each of these structures lies in the one before
        assert (found.labels[:, :-1] >= found.labels[:, 1:]).all()


def test_binary_agreement_by_hand():
    marginals = torch.tensor([[1.0, 0.0, 0.5, 0.0], [0.5, 0.5, 0.5, 0.5]])
    weight = agreement_weight(marginals, "binary")
    torch.testing.assert_close(weight, torch.tensor([0.75, 0.0]))


def test_released_agreement_turns_negative_where_the_clamped_one_is_zero():
    marginals = torch.full((1, 5), math.exp(-1))  # the largest possible entropy of five sets
    released = agreement_weight(marginals, "unclamped").item()
    assert released == pytest.approx(1 - 5 * math.exp(-1) / math.log(5), abs=1e-5)
    assert released < -0.14
    assert agreement_weight(marginals).item() == 0


def test_standardised_ranking_does_not_depend_on_blocks_or_other_images():
    torch.manual_seed(3)
    features, labels = torch.rand(2, 4, 8, 8), torch.randint(0, 3, (2, 8, 8))
    pool = ReferencePool.from_maps(features, labels, 3)
    images = torch.rand(3, 4, 8, 8)
    whole = match(images, pool, standardise=True)
    for i in range(3):
        alone = match(images[i : i + 1], pool, block=900, standardise=True)
        assert torch.equal(alone.labels[0], whole.labels[i])


def test_volumes_are_matched_like_images():
    torch.manual_seed(0)
    features, labels = torch.rand(1, 6, 4, 5, 6), torch.randint(0, 3, (1, 4, 5, 6))
    pool = ReferencePool.from_maps(features, labels, 3, grid=16)
    found = match(features, pool, grid=16)
    assert torch.equal(found.labels, labels)
    assert found.probabilities.shape == (1, 3, 4, 5, 6)
    flat_pool = ReferencePool.from_maps(features.flatten(3), labels.flatten(2), 3, grid=99)
    flat = match(features.flatten(3), flat_pool, grid=99)
    torch.testing.assert_close(found.weight.flatten(2), flat.weight)
    with pytest.raises(ValueError, match="cleaned"):
        match(features, pool, morph=True)


def test_label_sets_of_volumes_are_matched_as_a_whole():
    torch.manual_seed(0)
    features, sets = torch.rand(1, 6, 4, 5, 6), torch.randint(0, 2, (1, 3, 4, 5, 6))
    found = match(features, ReferencePool.from_maps(features, sets, 3))
    assert torch.equal(found.labels, sets.float())
    loss = rpg_loss(torch.zeros(1, 3, 4, 5, 6), found.labels, torch.ones(1, 4, 5, 6))
    assert loss.item() == pytest.approx(math.log(2))


def test_images_of_a_pool_label_each_other_and_never_themselves():
    # Image 0 has two pixels, image 1 two, image 2 one without annotation.
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    features = torch.stack([east, north, east, east]).view(2, 1, 2, 2).permute(0, 3, 1, 2)
    labels = torch.tensor([[[1, 2]], [[3, 255]]])
    pool = ReferencePool.from_maps(features, labels, 4)
    # All of image 0 can only look at the one annotated pixel of image 1; image 1 finds the east.
    assert match_each_other(pool).tolist() == [3, 3, 1, 1]
    alone = ReferencePool.from_maps(features[:1], labels[:1], 4)
    assert match_each_other(alone).tolist() == [255, 255]
    sets = torch.tensor([[[[1, 0]], [[1, 1]]], [[[0, 255]], [[0, 255]]]])
    pool = ReferencePool.from_maps(features, sets, 2)
    assert match_each_other(pool).tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]


def test_what_is_not_annotated_labels_no_other_image():
    # The one pixel of the other image that looks alike is not annotated.
    features = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]]])
    labels = torch.tensor([[[1, 1]], [[255, 2]]])
    pool = ReferencePool.from_maps(features, labels, 3)
    assert match_each_other(pool)[:2].tolist() == [2, 2]
