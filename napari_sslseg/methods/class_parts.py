"""Parts of one object: deciding for the object first, and where its parts change along the slices.

The classes of a volume are often parts of one organ. Read from both sides, a pixel of it may be
one part with half of the chance and the other part with the other half; taken one by one, each
loses to a background that is hardly likely. And when one inked slice shows only the one part and
the next only the other, the border between them lies somewhere in between and no pixel can tell
where: the nearer slice is then the better guess, also for pixels that its own read does not reach.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .gaussian_blur import gaussian_blur


def object_first(probabilities: Tensor, temperature: float) -> Tensor:
    """Decide between object and background first, and between the object's classes second.

    The chance of any object stays as it is; within it, the classes are sharpened.

    Parameters
    ----------
    probabilities : Tensor, (..., classes, H, W)
        Class 0 is the background.
    temperature : float
        Softmax temperature of the sharpening; 1 changes nothing.

    Returns
    -------
    Tensor, (..., classes, H, W)
    """
    classes = probabilities.shape[-3]
    if classes < 3 or temperature == 1:
        return probabilities
    background, objects = probabilities.split((1, classes - 1), -3)
    sharp = (objects.clamp_min(1e-6).log() / temperature).softmax(-3)
    return torch.cat((background, sharp * objects.sum(-3, keepdim=True)), -3)


def exchanged_classes(here: Tensor, there: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the classes that only the one, and only the other of two label slices shows.

    Parameters
    ----------
    here, there : Tensor, (H, W)
        Class ids, integers below `classes`.
    classes : int
        Number of classes with background, which may be among those returned.

    Returns
    -------
    tuple of Tensor
        Two of (N,) int64, rising: the classes of `here` alone, and those of `there` alone.
    """
    first, second = (
        torch.bincount(labels.flatten(), minlength=classes) > 0 for labels in (here, there)
    )
    return (
        torch.nonzero(first & ~second).flatten(),
        torch.nonzero(second & ~first).flatten(),
    )


def exchange(
    labels: Tensor,
    ahead: Tensor,
    back: Tensor,
    near: Tensor,
    far: Tensor,
    exclusive: tuple[Tensor, Tensor],
    blur: float,
) -> Tensor:
    """Share what belongs to classes that are exchanged between two slices by nearness.

    Parameters
    ----------
    labels : Tensor, (B, classes, H, W)
        Chances from both reads together.
    ahead, back : Tensor, (B, classes, H, W)
        The read from either slice.
    near, far : Tensor, (B, 1, H, W)
        Weights of the two reads.
    exclusive : tuple of Tensor
        See `exchanged_classes`. If either is empty, nothing changes.
    blur : float
        Standard deviation (pixels) of the surroundings that tell which of several exclusive classes
        of a slice it is where its read shows none.

    Returns
    -------
    Tensor, (B, classes, H, W)
        Each pixel's chance of any of these classes stays as it is.
    """
    left, gained = exclusive
    if not len(left) or not len(gained):
        return labels
    result = labels.clone()
    mass = (labels[:, left].sum(1) + labels[:, gained].sum(1))[:, None]
    result[:, left] = mass * near / (near + far) * _shares(ahead[:, left], blur)
    result[:, gained] = mass * far / (near + far) * _shares(back[:, gained], blur)
    return result


def _shares(read: Tensor, blur: float) -> Tensor:
    parts = read + 0.05 * gaussian_blur(read, blur) + 1e-4
    return parts / parts.sum(1, keepdim=True)
