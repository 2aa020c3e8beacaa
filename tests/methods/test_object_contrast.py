"""Intensities scaled to what lies at and around the objects."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.object_contrast import ScaledSlices, object_contrast
from napari_sslseg.methods.propagation import propagate
from napari_sslseg.methods.propagation_inputs import InkedVolume


def _organ_in_ct() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return image, ink and labels: an organ that moves in soft tissue, with air around."""
    labels = torch.zeros(9, 64, 64, dtype=torch.uint8)
    image = torch.full((9, 1, 64, 64), -1000.0)
    image[:, :, 8:56, 8:56] = 0.0
    for z in range(9):
        labels[z, 22 : 34 + z % 5, 18 + z : 34 + z] = 1
    image[labels[:, None] == 1] = 60.0
    image += 15 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    ink = torch.full_like(labels, 255)
    ink[[0, 8]] = labels[[0, 8]]
    return standardise(image), ink, labels


def test_soft_tissue_is_spread_and_the_order_of_intensities_kept() -> None:
    image, ink, labels = _organ_in_ct()
    contrast = object_contrast(image, ink, [0, 8])
    assert contrast is not None
    scaled = contrast.apply(image)
    organ, rest = (scaled[:, 0, 8:56, 8:56][labels[:, 8:56, 8:56] == v].mean() for v in (1, 0))
    assert organ - rest > 1.0
    rising = torch.linspace(-5, 5, 101).expand(1, 1, 101)
    assert bool((contrast.apply(rising).diff() > 0).all())
    assert torch.equal(ScaledSlices(image, contrast)[3], scaled[3])


@pytest.mark.parametrize("inked", [0, 1])
def test_nothing_is_scaled_without_objects_or_where_they_fill_the_range(inked: int) -> None:
    image = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    ink = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    ink[1] = 0
    ink[1, 8:20, 8:20] = inked
    assert object_contrast(image, ink, [1]) is None


def test_an_organ_is_followed_though_air_takes_most_of_the_range() -> None:
    image, ink, labels = _organ_in_ct()
    found = propagate(InkedVolume(image, ink, 2)).labels
    common = (found & labels)[1:8].sum()
    assert 2 * common / (found[1:8].sum() + labels[1:8].sum()) > 0.985
