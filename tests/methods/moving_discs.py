"""Made volumes for the tests of propagation: discs that move, in noise."""

from __future__ import annotations

from typing import Any

import torch

from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.propagation import InkedVolume, Propagation, Renewal, propagate

NONE = 255


def disc(centre: tuple[float, float], radius: float, size: int = 64) -> torch.Tensor:
    """Return a filled circle (size, size), bool."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def volume_of(labels: torch.Tensor, noise: float = 0.1, seed: int = 0) -> torch.Tensor:
    """Make an image (Z, 1, H, W) with one grey value a class and noise."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.tensor([0.0, 1.0, -1.0, 2.0])[labels.long()]
    return (grey + noise * torch.randn(grey.shape, generator=generator))[:, None]


def moving_disc(depth: int, step: float, radius: float = 11, size: int = 64) -> torch.Tensor:
    """Return labels (depth, size, size) of a circle that moves by a step each slice."""
    start = size / 2 - step * (depth - 1) / 2
    return torch.stack([disc((size / 2, start + step * z), radius, size) for z in range(depth)]).to(
        torch.uint8
    )


def ink_in(labels: torch.Tensor, slices: list[int]) -> torch.Tensor:
    """Return labels as ink in some slices, none elsewhere."""
    ink = torch.full_like(labels, NONE)
    ink[slices] = labels[slices]
    return ink


def propagated(
    image: torch.Tensor,
    ink: torch.Tensor,
    classes: int,
    renewal: Renewal | None = None,
    **known: Any,
) -> Propagation:
    """Propagate through an image that is standardised first."""
    volume = InkedVolume(standardise(image), ink, classes, **known)
    return propagate(volume, renewal=renewal)


def dice(a: torch.Tensor, b: torch.Tensor, value: int = 1) -> float:
    """Dice of one value."""
    a, b = a == value, b == value
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def ellipsoid() -> torch.Tensor:
    """Discs of a radius that shrinks to both sides, in slices 4 to 16 of 21."""
    radii = [14 * max(0.0, 1 - ((z - 10) / 6.5) ** 2) ** 0.5 for z in range(21)]
    return torch.stack([disc((32, 32), r) & (r > 0) for r in radii]).to(torch.uint8)
