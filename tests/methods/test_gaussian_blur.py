"""Blur of slices: what it keeps, how wide it is, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sslseg.methods.gaussian_blur import gaussian_blur


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_blur_keeps_a_constant_and_the_mean_inside() -> None:
    assert torch.allclose(gaussian_blur(torch.full((2, 3, 9, 7), 4.0), 1.5), torch.tensor(4.0))
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 1
    blurred = gaussian_blur(point, 1.5)
    assert blurred.sum() == pytest.approx(1.0, abs=1e-5)
    rows = torch.arange(21.0)
    spread = (blurred[0, 0].sum(1) * (rows - 10) ** 2).sum()
    assert spread.sqrt() == pytest.approx(1.5, abs=0.05)


def test_blur_of_a_slice_thinner_than_the_kernel_works() -> None:
    assert gaussian_blur(_noise(1, 1, 2, 40), 3.0).shape == (1, 1, 2, 40)


@pytest.mark.parametrize("shape", [(2, 3, 9, 31), (1, 2, 97, 60), (1, 1, 130, 200)])
def test_blur_is_that_of_scipy_with_edges_repeated(shape: tuple[int, ...]) -> None:
    image = _noise(*shape)[..., ::2]  # not contiguous
    expected = ndimage.gaussian_filter(
        image.numpy().astype(np.float64), (0, 0, 2, 2), mode="nearest", truncate=3.0
    )
    np.testing.assert_allclose(gaussian_blur(image, 2.0).numpy(), expected, atol=1e-5)


def test_blur_keeps_double_precision() -> None:
    assert gaussian_blur(_noise(1, 1, 8, 8).double(), 1.0).dtype == torch.float64
