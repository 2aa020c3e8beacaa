"""SemSim across images."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.prototypes import Prototypes, agreement, query, regional_prototypes


def _maps(j=3, d=6, s=8, k=3):
    torch.manual_seed(0)
    return torch.rand(j, d, s, s), torch.randint(0, k, (j, s, s))


def test_one_region_is_masked_average_pooling():
    features, labels = _maps()
    p = regional_prototypes(features, labels, 3, regions=1)
    for j in range(3):
        for c in range(3):
            mean = features[j][:, labels[j] == c].mean(1)
            torch.testing.assert_close(p.vectors[0, j, c], mean)
    assert p.present.all()


@pytest.mark.parametrize("side", [8, 9])
def test_cells_hold_their_own_means_whether_or_not_they_divide(side):
    features, labels = _maps(s=side)
    p = regional_prototypes(features, labels, 3, regions=2)
    half = math.ceil(side / 2)
    corner, marks = features[0][:, :half, half:], labels[0][:half, half:]
    torch.testing.assert_close(p.vectors[1, 0, 2], corner[:, marks == 2].mean(1))


def test_there_are_no_more_cells_than_the_shorter_side_has_pixels():
    p = regional_prototypes(torch.rand(1, 3, 6, 2), torch.zeros(1, 6, 2), 2, regions=4)
    assert p.regions == 2


def test_region_without_a_class_takes_the_prototype_of_the_image():
    features, labels = _maps()
    labels[0, :4, :4] = 0
    p = regional_prototypes(features, labels, 3, regions=2)
    whole = features[0][:, labels[0] == 2].mean(1)
    torch.testing.assert_close(p.vectors[0, 0, 2], whole)


def test_one_pixel_of_a_class_is_its_prototype():
    features = torch.arange(16.0).view(1, 1, 4, 4) + 1
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0, 1] = labels[0, 3, 3] = 1
    p = regional_prototypes(features, labels, 2, regions=2)
    assert p.vectors[:, 0, 1, 0].tolist() == [2.0, 9.0, 9.0, 16.0]


def test_ignored_pixels_enter_no_prototype():
    features, labels = _maps()
    labels[:, :, 5:] = 255
    expected = regional_prototypes(features, labels, 3)
    features = features.clone()
    features[..., 5:] = 1e6
    torch.testing.assert_close(regional_prototypes(features, labels, 3).vectors, expected.vectors)


def test_class_absent_from_an_image_or_from_all_leaves_probabilities_finite():
    features, labels = _maps(k=4)
    labels[labels == 3] = 0
    labels[0][labels[0] == 2] = 1
    p = regional_prototypes(features, labels, 4)
    assert p.present.tolist() == [[True, True, False, False]] + [[True, True, True, False]] * 2
    features.requires_grad_()
    result = query(features, regional_prototypes(features, labels, 4))
    probs = result.log_probs.exp()
    assert torch.equal(probs[:, 3], torch.zeros(3, 8, 8))
    assert (probs[:, 2] > 0).all()
    torch.testing.assert_close(probs.sum(1), torch.ones(3, 8, 8))
    result.log_probs[:, :3].sum().backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("divergence", ["softmax", "raw"])
def test_no_labelled_image_gives_no_opinion(divergence):
    features = torch.rand(2, 5, 4, 4, requires_grad=True)
    nobody = regional_prototypes(torch.rand(0, 5, 4, 4), torch.zeros(0, 4, 4).long(), 3, 2)
    found = query(features, nobody, divergence=divergence)
    torch.testing.assert_close(found.log_probs.exp(), torch.full((2, 3, 4, 4), 1 / 3))
    assert (found.weight == 0).all()
    found.log_probs.sum().backward()  # there is a graph, and nothing to learn
    assert (features.grad == 0).all()


def test_nothing_labelled_at_all_gives_no_opinion():
    features, labels = _maps()
    result = query(features, regional_prototypes(features, torch.full_like(labels, 255), 3))
    torch.testing.assert_close(result.log_probs.exp(), torch.full((3, 3, 8, 8), 1 / 3))
    assert torch.equal(result.weight, torch.zeros(3, 8, 8))


def test_query_by_hand():
    # One cell; two images; cosines of 1 and 0 to class 0, of 0 and 1 to class 1.
    x, y = torch.tensor([1.0, 0]), torch.tensor([0.0, 1])
    vectors = torch.stack([torch.stack([x, y]), torch.stack([y, y])])[None]
    p = Prototypes(vectors, torch.ones(2, 2, dtype=torch.bool), 1)
    result = query(x.view(1, 2, 1, 1), p, temperature=1.0)
    expected = (math.e + 1) / (math.e + 1 + 2)
    assert result.log_probs[0, 0].exp().item() == pytest.approx(expected)
    q = [math.e / (math.e + 1), 0.5]
    mean = sum(q) / 2
    kl = [a * math.log(a / mean) + (1 - a) * math.log((1 - a) / (1 - mean)) for a in q]
    soft = agreement(result.similarity, p.present, sharpness=2.0)
    assert soft.item() == pytest.approx(sum(math.exp(-2 * v) for v in kl) / 2)


def test_each_pixel_queries_its_own_cell():
    features, labels = _maps()
    p = regional_prototypes(features, labels, 3, regions=2)
    before = query(features, p).similarity
    p.vectors[3] = torch.rand_like(p.vectors[3])
    changed = (query(features, p).similarity != before).flatten(0, 2).any(0)
    assert changed[4:, 4:].all()
    assert not changed[:4].any()
    assert not changed[:, :4].any()


def test_cells_are_in_row_major_order_for_the_query_too():
    features = torch.zeros(1, 2, 4, 4)
    features[:, 0, :2], features[:, 1, 2:] = (
        1,
        1,
    )  # the upper half points one way, the lower another
    p = regional_prototypes(features, torch.zeros(1, 4, 4, dtype=torch.long), 1, regions=2)
    assert torch.allclose(query(features, p).similarity, torch.ones(1, 1, 1, 4, 4))


def test_identical_labelled_images_agree_fully():
    features, labels = _maps(j=1)
    p = regional_prototypes(features.expand(3, -1, -1, -1), labels.expand(3, -1, -1), 3)
    torch.testing.assert_close(query(features, p).weight, torch.ones(1, 8, 8))


def test_agreement_keeps_its_precision_at_tiny_divergences():
    torch.manual_seed(0)
    similarity = 0.6 + 0.01 * torch.rand(1, 4, 3, 5, 5)
    present = torch.ones(4, 3, dtype=torch.bool)
    q = similarity.double().softmax(2)
    kl = (q * (q / q.mean(1, keepdim=True)).log()).sum(2)
    expected = torch.exp(-1000 * kl).mean(1)
    torch.testing.assert_close(agreement(similarity, present).double(), expected, atol=1e-5, rtol=0)


def test_an_image_without_a_class_does_not_count_as_dissent():
    similarity = torch.rand(1, 1, 3, 4, 4).repeat(1, 2, 1, 1, 1)
    similarity[:, 1, 2] = 0  # what the second image says about a class that it lacks
    present = torch.tensor([[True, True, True], [True, True, False]])
    torch.testing.assert_close(agreement(similarity, present), torch.ones(1, 4, 4))


def test_a_class_that_nobody_has_does_not_dilute_dissent():
    # Two images judge one pixel; the similarities of class 2 mean nothing.
    two = torch.tensor([[[0.9, 0.1], [0.4, 0.6]]]).view(1, 2, 2, 1, 1)
    three = torch.cat([two, torch.zeros(1, 2, 1, 1, 1)], 2)
    present = torch.ones(2, 3, dtype=torch.bool)
    present[:, 2] = False
    expected = agreement(two, present[:, :2], 10.0)
    torch.testing.assert_close(agreement(three, present, 10.0), expected)


@pytest.mark.parametrize(("classes", "bound"), [(2, 0.731), (4, 0.4754)])
def test_without_temperature_no_probability_exceeds_the_documented_bound(classes, bound):
    features = torch.eye(classes)[torch.randint(0, classes, (1, 8, 8))].permute(0, 3, 1, 2)
    labels = features.argmax(1)
    p = regional_prototypes(features, labels, classes, regions=1)
    literal = query(features, p, temperature=1.0).log_probs.exp().max().item()
    assert literal <= math.e / (math.e + classes - 1) + 1e-6
    assert literal == pytest.approx(bound, abs=1e-3)
    assert query(features, p, temperature=0.1).log_probs.exp().amax(1).min() > 0.95


def test_gradients_reach_queries_and_prototypes_but_not_through_the_weight():
    features, labels = _maps()
    labelled, asked = features.clone().requires_grad_(), features.clone().requires_grad_()
    result = query(asked, regional_prototypes(labelled, labels, 3))
    assert not result.weight.requires_grad
    result.log_probs[:, 0].mean().backward()
    assert labelled.grad.abs().sum() > 0
    assert asked.grad.abs().sum() > 0


def test_labels_are_brought_to_the_size_of_the_features():
    features, labels = _maps()
    large = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    a, b = (regional_prototypes(features, m, 3).vectors for m in (labels, large))
    torch.testing.assert_close(a, b)


def test_labels_are_read_in_the_middle_of_the_features_pixels():
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[0, 1, 1] = 1  # the middle of the first of 2 x 2 cells of 3 x 3 pixels
    p = regional_prototypes(torch.arange(4.0).view(1, 1, 2, 2), labels, 2, regions=1)
    assert p.present.tolist() == [[True, True]]
    assert p.vectors[0, 0, 1, 0] == 0


def test_printed_divergence_goes_negative_and_is_cut():
    similarity = torch.tensor([[0.9, 0.2], [0.5, 0.4]]).view(1, 2, 2, 1, 1)
    mean = similarity.mean(1, keepdim=True)
    divergence = (similarity * (similarity / mean).log()).sum(2)
    assert divergence.min() < 0
    assert divergence.max() > 0
    present = torch.ones(2, 2, dtype=torch.bool)
    found = agreement(similarity, present, 10.0, "raw")
    torch.testing.assert_close(found, torch.exp((-10 * divergence).clamp_max(0)).mean(1))
    with pytest.raises(ValueError, match="divergence"):
        agreement(similarity, present, 10.0, "other")


def test_the_divergence_that_is_asked_for_is_taken():
    features, labels = _maps()
    p = regional_prototypes(features, labels, 3)
    for kind in ("softmax", "raw"):
        found = query(features, p, sharpness=10.0, divergence=kind)
        expected = agreement(found.similarity, p.present, 10.0, kind)
        torch.testing.assert_close(found.weight, expected)
    assert not torch.allclose(
        query(features, p, sharpness=10.0).weight,
        query(features, p, sharpness=10.0, divergence="raw").weight,
    )
