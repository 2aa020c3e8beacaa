"""Descriptors of pixels from the patches around them."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.gaussian_blur import gaussian_blur
from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.slice_features import slice_features


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_feature_distances_approximate_mean_squared_patch_differences() -> None:
    image = standardise(_noise(3, 2, 24, 24))
    # All 18 components of 3 x 3 patches of 2 channels: the projection loses nothing.
    features = slice_features(image, dimensions=18, scales=(0.0,))
    p, q = (5, 7), (15, 11)
    patch = [image[1, :, y - 1 : y + 2, x - 1 : x + 2] for y, x in (p, q)]
    expected = (patch[0] - patch[1]).square().mean()
    actual = (features[1, :, p[0], p[1]] - features[1, :, q[0], q[1]]).square().sum()
    assert actual == pytest.approx(float(expected), rel=1e-4)


def test_features_keep_the_components_of_most_variance() -> None:
    image = gaussian_blur(_noise(3, 1, 40, 40), 2.0)
    full = slice_features(image, dimensions=27).var((0, 2, 3)).sum()
    short = slice_features(image, dimensions=6)
    assert short.shape == (3, 6, 40, 40)
    assert short.var((0, 2, 3)).sum() > 0.9 * full


def test_features_do_not_depend_on_other_slices_beyond_the_basis() -> None:
    image = _noise(5, 1, 20, 20)
    moved = image.clone()
    moved[[0, 4]] = image[[4, 0]]
    a, b = slice_features(image, scales=(0.0, 1.0)), slice_features(moved, scales=(0.0, 1.0))
    distance = lambda f: (f[2, :, 4, 4] - f[2, :, 9, 9]).square().sum()  # noqa: E731
    assert distance(a) == pytest.approx(float(distance(b)), rel=1e-3)
