"""Perturbations of feature maps for the auxiliary decoders of cross-consistency training.

Ouali et al. (CVPR 2020, section 3.2) perturb what the encoder found instead of the image, in seven
ways of three kinds: at random (noise, dropping the most active places, dropping channels), guided
by the main prediction (hiding objects, their surroundings, or a box on them), and against the
prediction (the small change that alters it most, after Miyato et al.). All draw from an explicit
generator, and none waits for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .networks import ChannelDropout

Perturbation = Literal[
    "noise", "drop", "channels", "objects", "context", "cutout", "adversarial", "none"
]

#: Largest relative change by noise.
NOISE = 0.3

#: Places more active than this share of the most active one are dropped; drawn in between.
ACTIVE = (0.7, 0.9)

#: Sides of the box that is cut out, as a share of those of the box around the objects.
CUT = 0.4

#: Step of the finite difference, and length of the adversarial change. The usual step of 1e-6 is
#: lost in the rounding of single precision: the divergence then has no gradient but noise.
FINITE, LENGTH = 0.1, 2.0

Features = Sequence[Tensor]


def noisy(feature: Tensor, generator: torch.Generator) -> Tensor:
    """Return ``z + z n`` with n uniform in [-0.3, 0.3) for every value of ``(B, C, H, W)``."""
    drawn = _uniform(feature.shape, generator, feature)
    return feature + feature * (NOISE * (2 * drawn - 1))


def without_most_active(feature: Tensor, generator: torch.Generator) -> Tensor:
    """Return maps ``(B, C, H, W)`` that are zero where their mean over channels is large.

    Kept is what lies below a share of the largest mean of the image; the share is drawn from
    [0.7, 0.9] for each image.
    """
    low, high = ACTIVE
    share = low + (high - low) * _uniform((feature.shape[0], 1, 1, 1), generator, feature)
    activity = feature.detach().mean(1, keepdim=True)
    return feature * (activity < share * activity.amax((2, 3), keepdim=True))


def hidden(feature: Tensor, objects: Tensor, inside: bool) -> Tensor:
    """Return maps ``(B, C, h, w)`` without the objects, or without what is around them.

    Parameters
    ----------
    feature
        Maps.
    objects
        ``(B, H, W)`` of 0 and 1, where the main decoder sees objects; sampled, nearest, at the size
        of the maps.
    inside
        True hides the objects, False their surroundings.
    """
    mask = F.interpolate(objects[:, None].float(), feature.shape[2:], mode="nearest-exact")
    return feature * ((1 - mask) if inside else mask).to(feature.dtype)


def cut_out(feature: Tensor, objects: Tensor, place: Tensor) -> Tensor:
    """Return maps ``(B, C, h, w)`` that are zero in a box on the objects.

    Parameters
    ----------
    feature
        Maps.
    objects
        ``(B, H, W)`` of 0 and 1. The box has 0.4 of the sides of the box around all objects of its
        image; where there are none, nothing is cut.
    place
        ``(B, 2)`` in [0, 1]: where in that box it lies, from one end to the other.
    """
    mask = torch.ones_like(feature[:, :1])
    for axis in (1, 2):
        seen = objects.float().amax(3 - axis)
        n = seen.shape[1]
        at = torch.arange(n, device=seen.device, dtype=seen.dtype)
        first = torch.where(seen > 0, at, n).amin(1)
        end = torch.where(seen > 0, at + 1, 0).amax(1)
        span = (end - first).clamp_min(0)
        begin = first + place[:, axis - 1] * (1 - CUT) * span
        count = feature.shape[axis + 1]
        centres = (torch.arange(count, device=seen.device) + 0.5) * (n / count)
        within = (centres >= begin[:, None]) & (centres < (begin + CUT * span)[:, None])
        shape = (-1, 1, count, 1) if axis == 1 else (-1, 1, 1, count)
        mask = mask * within.view(shape)
    return feature * (1 - mask)


def against(
    feature: Tensor,
    decode: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    step: float = FINITE,
    length: float = LENGTH,
) -> Tensor:
    """Return the map plus the change of a given length that alters a prediction most.

    One power iteration: a random direction of length `step` is added, and the gradient of the
    divergence from the unchanged prediction with respect to it, scaled to `length`, is the change.

    Parameters
    ----------
    feature
        ``(B, C, h, w)``; the change itself carries no gradient.
    decode
        Turns such a map into log-probabilities ``(B, A, ...)``.
    generator
        Of the first direction.
    step, length
        Of an image each, in the Euclidean norm.
    """
    # In single precision whatever the rest runs in: a difference must not be rounded away.
    with torch.autocast(feature.device.type, enabled=False):
        fixed = feature.detach().to(torch.promote_types(feature.dtype, torch.float32))
        with torch.no_grad():
            before = decode(fixed)
        drawn = _uniform(feature.shape, generator, fixed) - 0.5
        small = (step * _unit(drawn)).requires_grad_(True)
        with torch.enable_grad():
            after = decode(fixed + small)
            divergence = F.kl_div(after, before, reduction="sum", log_target=True)
            (gradient,) = torch.autograd.grad(divergence, small)
        change = length * _unit(gradient)
    return feature + change.to(feature.dtype)


def perturbed(
    kind: Perturbation,
    features: Features,
    objects: Tensor,
    decode: Callable[[Features], Tensor],
    generator: torch.Generator,
    dropout: float,
) -> tuple[Tensor, ...]:
    """Perturb the maps of an encoder in one of the seven ways.

    Parameters
    ----------
    kind
        Which; ``"none"`` leaves them.
    features
        ``(B, C_l, h_l, w_l)``, finest first. All are perturbed, as skip connections would hand the
        decoder the rest; only the adversarial change is that of the deepest map, its output in the
        original.
    objects
        ``(B, H, W)`` of 0 and 1 from the main decoder.
    decode
        Log-probabilities of the auxiliary decoder for such maps.
    generator
        Randomness.
    dropout
        Probability of dropping a channel.

    Returns
    -------
    tuple of Tensor
        Of the same shapes.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind == "none":
        return tuple(features)
    if kind == "noise":
        return tuple(noisy(f, generator) for f in features)
    if kind == "drop":
        return tuple(without_most_active(f, generator) for f in features)
    if kind == "channels":
        return tuple(map(ChannelDropout(dropout, generator), features))
    if kind in ("objects", "context"):
        return tuple(hidden(f, objects, kind == "objects") for f in features)
    if kind == "cutout":
        place = _uniform((objects.shape[0], 2), generator, features[0]).float()
        return tuple(cut_out(f, objects, place) for f in features)
    if kind != "adversarial":
        raise ValueError(f"unknown perturbation of features {kind!r}")
    *skips, last = features
    held = [s.detach().float() for s in skips]
    return (*skips, against(last, lambda z: decode([*held, z]), generator))


def _uniform(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    drawn = torch.rand(tuple(shape), generator=generator, device=generator.device)
    return drawn.to(like.device, like.dtype)


def _unit(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    scale = flat.abs().amax(1, keepdim=True).clamp_min(1e-30)  # keeps squares from vanishing
    flat = flat / scale
    return (flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)).view_as(values)
