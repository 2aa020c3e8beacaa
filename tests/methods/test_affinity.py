"""SemSim inside an image."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.affinity import limit_grid, rectify, resize, spread
from napari_sslseg.methods.label_space import LabelSpace


def _two_classes(side=6):
    labels = torch.zeros(side, side, dtype=torch.long)
    labels[:, side // 2 :] = 1
    features = torch.nn.functional.one_hot(labels, 2).float().permute(2, 0, 1)[None]
    return features, labels


def _affinities(features, temperature):
    """Return Eq. 4 as it is printed, of all pairs of pixels; rows sum to one."""
    f = features.flatten(2)
    cosines = torch.cosine_similarity(f[..., :, None], f[..., None, :], dim=1)
    return (cosines / temperature).softmax(-1)


def test_each_pixel_reads_all_others_by_their_cosines():
    torch.manual_seed(0)
    features, values = torch.rand(2, 8, 5, 6), torch.randn(2, 3, 5, 6)
    expected = values.flatten(2) @ _affinities(features, 0.2).transpose(1, 2)
    torch.testing.assert_close(spread(values, features, 0.2), expected.view_as(values))


def test_small_temperature_reads_the_mean_of_the_own_class():
    features, labels = _two_classes()
    values = torch.randn(1, 3, 6, 6)
    out = spread(values, features, temperature=0.01)
    for c in (0, 1):
        mean = values[..., labels == c].mean(-1, keepdim=True)
        torch.testing.assert_close(out[..., labels == c], mean.expand(1, 3, 18))


def test_literal_temperature_reads_nearly_the_mean_of_the_image():
    features, _ = _two_classes()  # also what is spread: the share that is read of each class
    own = spread(features, features, 1.0)[0, 0, 0, 0].item()
    assert own == pytest.approx(2.718 / 3.718, abs=1e-3)
    assert spread(features, features, 0.1)[0, 0, 0, 0] > 0.999


def test_logits_constant_in_each_class_are_doubled():
    features, labels = _two_classes()
    logits = torch.tensor([[1.0, -1.0], [-2.0, 3.0]])[labels].permute(2, 0, 1)[None]
    torch.testing.assert_close(rectify(logits, features, 0.01), 2 * logits)


def test_blocks_change_neither_values_nor_gradients():
    torch.manual_seed(0)
    results = []
    for block in (7 * 60, 10**6):  # 7 pixels of 30, in two images
        torch.manual_seed(0)
        values = torch.randn(2, 3, 5, 6, requires_grad=True)
        features = torch.rand(2, 4, 5, 6, requires_grad=True)
        out = spread(values, features, block=block)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        results.append((out.detach(), values.grad, features.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_rectifying_denoises_logits_along_features():
    torch.manual_seed(0)
    features, labels = _two_classes(16)
    truth = torch.nn.functional.one_hot(labels, 2).float().permute(2, 0, 1)[None]
    noisy = truth + torch.randn_like(truth)
    before = (noisy.argmax(1)[0] == labels).float().mean()
    after = rectify(noisy, features + 0.1 * torch.rand_like(features)).argmax(1)[0] == labels
    assert before < 0.8
    assert after.float().mean() > before + 0.05


def test_rectified_probabilities_of_overlapping_classes_are_means():
    space, flat = LabelSpace(2, overlapping=True), torch.ones(1, 3, 2, 2)
    for at in ("features", "logits"):
        found = rectify(torch.full((1, 2, 2, 2), 1.0), flat, at=at, space=space)
        torch.testing.assert_close(found, torch.full((1, 2, 2, 2), 1.0), atol=1e-4, rtol=0)


def test_correction_can_be_added_at_the_size_of_the_logits():
    features, _ = _two_classes(6)
    logits = torch.randn(1, 2, 24, 24)
    out = rectify(logits, features, at="logits")
    assert out.shape == logits.shape
    detail = (out - logits) - (out - logits).mean((2, 3), keepdim=True)
    assert detail.abs().max() < (logits - logits.mean((2, 3), keepdim=True)).abs().max()


def test_the_axis_of_the_softmax_reaches_the_correction():
    torch.manual_seed(0)
    logits, features = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 4, 4)
    expected = logits + spread(logits, features, axis="output")
    torch.testing.assert_close(rectify(logits, features, axis="output"), expected)


def test_gradient_flows_into_logits_and_features():
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    features = torch.rand(1, 4, 4, 4, requires_grad=True)
    rectify(logits, features)[:, 0].square().sum().backward()
    assert logits.grad.abs().sum() > 0
    assert features.grad.abs().sum() > 0


def test_grid_limit_keeps_the_aspect():
    assert limit_grid(torch.rand(1, 2, 30, 60), 20).shape == (1, 2, 10, 20)
    small = torch.rand(1, 2, 10, 12)
    assert limit_grid(small, 20) is small


def test_maps_of_different_grids_are_refused():
    with pytest.raises(ValueError, match="differ"):
        spread(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 5, 4))


def test_printed_product_by_hand_and_in_blocks():
    torch.manual_seed(0)
    features, values = torch.rand(1, 4, 3, 5), torch.randn(1, 2, 3, 5, requires_grad=True)
    expected = (values.flatten(2) @ _affinities(features, 0.2)).view_as(values)
    whole = spread(values, features, 0.2, axis="output")
    torch.testing.assert_close(whole, expected)
    blocks = spread(values, features, 0.2, block=4 * 15, axis="output")
    torch.testing.assert_close(blocks, expected)
    (gradient,) = torch.autograd.grad(blocks.square().sum(), values)
    (plain,) = torch.autograd.grad(expected.square().sum(), values)
    torch.testing.assert_close(gradient, plain)
    # What is given away is conserved, what is read is not.
    torch.testing.assert_close(whole.sum((2, 3)), values.sum((2, 3)))
    with pytest.raises(ValueError, match="axis"):
        spread(values, features, axis="both")


@pytest.mark.parametrize("axis", ["source", "output"])
def test_a_last_block_of_one_pixel_is_not_lost(axis):
    torch.manual_seed(0)
    values, features = torch.rand(1, 2, 5, 5), torch.rand(1, 3, 5, 5)
    whole = spread(values, features, axis=axis)
    torch.testing.assert_close(spread(values, features, block=8 * 25, axis=axis), whole)


def test_shrinking_smooths_or_reads_four_pixels_as_printed():
    maps = torch.arange(64.0).square().view(1, 1, 8, 8)
    plain, smoothed = resize(maps, (2, 2), smoothed=False), resize(maps, (2, 2))
    torch.testing.assert_close(plain[0, 0, 0, 0], maps[0, 0, 1:3, 1:3].mean())
    assert (plain - smoothed).abs().min() > 0.5
    noise = torch.randn(1, 1, 64, 64)
    assert resize(noise, (8, 8)).std() < 0.5 * resize(noise, (8, 8), smoothed=False).std()
    torch.testing.assert_close(resize(maps, (16, 16)), resize(maps, (16, 16), smoothed=False))
    features = torch.rand(1, 3, 2, 2)
    rectified = rectify(maps, features, smoothed=False)
    torch.testing.assert_close(rectified, plain + spread(plain, features))


def test_shrinking_one_side_alone_is_smoothed_too():
    maps = torch.zeros(1, 1, 8, 4)
    maps[:, :, 0] = 1
    assert resize(maps, (2, 4))[0, 0, 0, 0] > 0.1
    assert resize(maps, (2, 4), smoothed=False)[0, 0, 0, 0] == 0
