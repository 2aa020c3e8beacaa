"""What the inked shapes say without the image: size, soft area, and the trend of their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy import ndimage

from .ink_completion import NOT_ANNOTATED

#: Distance (pixels) from an interpolated border at which its evidence is 1.
_BAND = 2.0
#: Steps of the fixed-point iteration that keeps areas.
_ITERATIONS = 8


def object_radius(ink: torch.Tensor) -> float:
    """Radius (pixels) of the disc with the median area of the inked objects.

    The median is over the slices that show any object; 0 if none does.

    Parameters
    ----------
    ink : (N, H, W) uint8 tensor
        255 where not annotated, 0 background.
    """
    areas = ((ink != 0) & (ink != NOT_ANNOTATED)).flatten(1).sum(1)
    areas = areas[areas > 0].float()
    return math.sqrt(float(areas.median()) / math.pi) if len(areas) else 0.0


def thinnest_radius(labels: torch.Tensor, classes: int) -> float:
    """Inscribed radius (pixels) of the thinnest class: details finer than it must not be blurred.

    For each class the median over the slices that show it; then the smallest. 0 without objects.

    Parameters
    ----------
    labels : (N, H, W) integer tensor
        Class of every pixel.
    classes : int
        Number of classes with background.
    """
    radii = []
    for value in range(1, classes):
        inscribed = [inscribed_radius(slice_ == value) for slice_ in labels]
        seen = [r for r in inscribed if r > 0]
        if seen:
            radii.append(float(torch.tensor(seen).median()))
    return min(radii, default=0.0)


def inscribed_radius(mask: torch.Tensor) -> float:
    """Return the largest distance from inside a mask to its outside.

    Parameters
    ----------
    mask : (H, W) bool tensor
        What lies beyond the edge of the image is outside.

    Returns
    -------
    float
        Pixels; 0 for an empty mask.
    """
    mask = mask.cpu()
    if not bool(mask.any()):
        return 0.0
    # The padding makes the edge of the image an outside, so that a full slice has a radius too.
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1)).numpy()
    return float(ndimage.distance_transform_edt(padded).max())


def shrinkage(here: torch.Tensor, there: torch.Tensor, slices: int, classes: int) -> torch.Tensor:
    """Rate at which shapes shrink from one slice to another.

    Parameters
    ----------
    here, there : (H, W) integer tensors
        Labels of the slice that is left and of the one before it.
    slices : int
        Slices between the two.
    classes : int
        Number of classes with background.

    Returns
    -------
    (classes,) tensor
        Change of the inscribed radius in pixels a slice; 0 for what grows and for background.
    """
    rates = [0.0]
    for value in range(1, classes):
        growth = inscribed_radius(here == value) - inscribed_radius(there == value)
        rates.append(min(0.0, growth / slices))
    return torch.tensor(rates, device=here.device)


def signed_distances(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Signed distance of each class of a label slice from its border, positive inside.

    Parameters
    ----------
    labels : (H, W) integer tensor
        Class of every pixel.
    classes : int
        Number of classes with background.

    Returns
    -------
    (classes, H, W) float32 tensor
        Pixels. An absent class is minus the diagonal everywhere, a class that fills the slice plus
        it.
    """
    height, width = labels.shape
    diagonal = math.hypot(height, width)
    result = torch.empty((classes, height, width))
    host = labels.cpu()
    for value in range(classes):
        inside = (host == value).numpy()
        if inside.all() or not inside.any():
            result[value] = diagonal if inside.any() else -diagonal
            continue
        distance = ndimage.distance_transform_edt(inside)
        distance -= ndimage.distance_transform_edt(~inside)
        result[value] = torch.from_numpy(distance)
    return result.to(labels.device)


def overlap(here: torch.Tensor, there: torch.Tensor) -> float:
    """Part of the objects of either of two label slices that has the same class in both.

    Parameters
    ----------
    here, there : (H, W) integer tensors
        0 is the background.

    Returns
    -------
    float
        In [0, 1]; 0 where neither shows an object.
    """
    objects = (here > 0) | (there > 0)
    return float(((here == there) & objects).sum() / objects.sum().clamp_min(1))


def interpolated_shapes(
    here: torch.Tensor, there: torch.Tensor, fractions: Sequence[float]
) -> torch.Tensor:
    """Evidence of the interpolated shapes: signed distances, in units of a band and within it.

    Shape-based interpolation (Raya & Udupa, IEEE TMI 9(1), 1990). The limits leave everything but
    the place of the border to other evidence.

    Parameters
    ----------
    here, there : (classes, H, W) tensors
        Signed distances in pixels of the two ends, see `signed_distances`.
    fractions : sequence of B floats
        Parts of the way from ``here`` to ``there``.

    Returns
    -------
    (B, classes, H, W) tensor in [-1, 1]
    """
    fraction = torch.tensor(fractions, dtype=here.dtype, device=here.device)[:, None, None, None]
    # A class absent from one end is not infinitely far: it may well appear in between.
    mixed = (1 - fraction) * here.clamp_min(-30.0) + fraction * there.clamp_min(-30.0)
    return (mixed / _BAND).clamp(-1.0, 1.0)


def keep_areas_of_slices(probabilities: torch.Tensor) -> torch.Tensor:
    """Do `keep_areas` for each of some slices; several at once, for devices to be filled.

    Parameters
    ----------
    probabilities : (B, classes, H, W) float tensor

    Returns
    -------
    (B, classes, H, W) tensor
    """
    if len(probabilities) == 1:
        return keep_areas(probabilities[0])[None]
    target = probabilities.sum((2, 3)).add(3.0).log()
    logits = probabilities.clamp_min(1e-6).log()
    bias = torch.zeros_like(target)
    open_ = probabilities.amax(1, keepdim=True) < 0.999
    settled = torch.where(open_, 0.0, probabilities).sum((2, 3))
    for _ in range(_ITERATIONS):
        decided = ((logits + bias[..., None, None]) / 0.3).softmax(1)
        area = torch.where(open_, decided, 0.0).sum((2, 3)) + settled
        bias = bias + 0.3 * (target - area.add(3.0).log())
        bias = bias - bias[:, :1]
    return (logits + bias.clamp(-1.5, 1.5)[..., None, None]).softmax(1)


def keep_areas(probabilities: torch.Tensor) -> torch.Tensor:
    """Bias the classes so that each covers, when decided, the area its probabilities add up to.

    Averaging soft labels keeps their sum but not the area where they win: thin and small classes
    lose to the background all around them. One factor a class, found by fixed-point iteration on
    the softly decided areas, makes up for it.

    Parameters
    ----------
    probabilities : (classes, H, W) float tensor
        Sums to 1; class 0 is the background.

    Returns
    -------
    (classes, H, W) tensor
        Sums to 1. A factor is at most ``exp(1.5)``, and at least its inverse.
    """
    target = probabilities.sum((1, 2)).add(3.0).log()
    logits = probabilities.clamp_min(1e-6).log()
    bias = torch.zeros_like(target)
    # Only where the decision can change: elsewhere the soft decision is the class itself.
    open_ = probabilities.amax(0) < 0.999
    settled = torch.where(open_, 0.0, probabilities).sum((1, 2))
    undecided = logits[:, open_]
    for _ in range(_ITERATIONS):
        decided = ((undecided + bias[:, None]) / 0.3).softmax(0).sum(1) + settled
        bias = bias + 0.3 * (target - decided.add(3.0).log())
        bias = bias - bias[0]
    # The limit keeps a class that is all doubt from flooding the slice.
    return (logits + bias.clamp(-1.5, 1.5)[:, None, None]).softmax(0)
