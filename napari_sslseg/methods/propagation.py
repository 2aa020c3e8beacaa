"""Reference-guided labels inside one volume: matching carried from slice to slice.

Seibold et al. (RPG, AAAI 2022) give a pixel the label of the most similar reference pixels. Inside
one volume the reference slice and its neighbour show the same patient, so the match can be local:

1. Every pixel is described by the patches around it (`slice_features`), or by learned features.
2. Between each slice and the next, a displacement and a windowed soft read (`slice_matching`).
3. From each wholly inked slice, or one whose strokes tell an object from the background
   (`label_sources`), the labels are carried towards the next one, both ways, together with the
   matching cost gathered on the way. Other strokes, or a slice inked across, correct the labels as
   they come by (`ink_completion`). The two results are averaged, the
   nearer one and, pixel by pixel, the better matching one counting more.
4. Parts of one object that the two inked slices show instead of each other are told apart by
   nearness (`class_parts`). The classes are rebalanced to keep their area
   (`shape_prior.keep_areas`). As further evidence come the appearance of the classes in the inked
   slices (`appearance`) and, where the shapes of the two inked slices overlap well, the shape
   interpolated between them.
5. Beyond the outermost inked slices, labels are carried one way, and shapes that were shrinking
   towards the end go on shrinking at that rate. Where it is known that slices are empty, these are
   the other end, and the labels fade towards them.

The stretch between two inked slices depends on these two alone, apart from what all of the ink says
together, so a corrected slice only renews the stretches on either side of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .ink_completion import NOT_ANNOTATED
from .propagation_result import Propagation, PropagationConfig
from .propagation_sources import Sources
from .propagation_work import PropagationWork
from .slice_batches import mask_batches
from .storage import Slices, Storage
from .working_region import grow_where_touched, working_region

__all__ = ["Propagation", "PropagationConfig", "propagate"]


def propagate(
    image: torch.Tensor | Slices,
    ink: torch.Tensor,
    classes: int,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    config: PropagationConfig | None = None,
    progress: Callable[[float], None] | None = None,
    features: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    previous: Propagation | None = None,
    changed: Sequence[int] | None = None,
    workers: int = 1,
    storage: Storage | None = None,
    empty: Sequence[int] = (),
) -> Propagation:
    """Carry the labels of a few inked slices through the whole volume.

    Parameters
    ----------
    image : (Z, C, H, W) real tensor, or slices
        The volume, slicing axis first, its channels on one scale (`intensity.standardise`). With
        ``storage`` it is read slice by slice.
    ink : (Z, H, W) uint8 tensor
        Class of each annotated voxel, 255 (not annotated) elsewhere: whole slices or strokes, see
        `label_sources`.
    classes : int
        Number of classes, background (0) included.
    spacing : three floats
        Distance (mm) of slices, rows and columns.
    config : PropagationConfig, optional
    progress : callable, optional
        Called with the finished part in [0, 1].
    features : (Z, D, H, W) float tensor, optional
        Learned descriptors to match on instead of the built-in ones. They are scaled as a whole
        to unit mean variance, nothing else is assumed of them.
    device : torch.device or str, optional
        Where to compute and return; default: where ``image`` is.
    previous : Propagation, optional
        Result before the slices ``changed`` were inked or corrected; it is not modified.
    changed : sequence of int, optional
        Slices whose ink differs from that of ``previous``. Only the stretches that end at one of
        them are computed again, and open ends whose trend it tells; all other slices are taken
        over. What all of the ink says together (appearance, region, descriptors, scale and
        smoothing) is that of now in the former, and that of before in the latter.
    workers : int
        Threads, each of which works on a stretch between two inked slices. The operations are too
        small for several threads in each: leave torch at one thread.
    storage : Storage, optional
        Where the result is kept when it is too large for the memory. Descriptors are then computed
        as they are needed instead of all at once, with the same result.
    empty : sequence of int
        Slices known to show background alone though nothing is inked there. Background is carried
        from them as from whole slices, but they teach nothing else. With ``previous`` they must be
        those that it was made with.

    Returns
    -------
    Propagation

    Raises
    ------
    ValueError
        If nothing is inked, shapes do not fit, or ink names a class beyond ``classes``.
    """
    config = config or PropagationConfig()
    target = torch.device(device) if device is not None else ink.device
    if device is None and isinstance(image, torch.Tensor):
        target = image.device
    _check(image, ink, classes, spacing, features)
    ink = ink.to(target)
    with torch.no_grad():
        region = working_region(ink, config.margin, config.minimum_margin)
        while True:
            sources = Sources(
                image,
                ink,
                classes,
                config,
                features,
                target,
                *region,
                workers,
                storage is not None,
                empty,
                spacing,
            )
            work = PropagationWork(sources, ink, *region, target, progress, workers, storage)
            result = work.run(previous, changed)
            grown = grow_where_touched(result.probabilities, *region)
            if grown == region:
                break
            region = grown
    if progress is not None:
        progress(1.0)
    return result


def _check(
    image: torch.Tensor | Slices,
    ink: torch.Tensor,
    classes: int,
    spacing: Sequence[float],
    features: torch.Tensor | None,
) -> None:
    if len(image.shape) != 4 or ink.shape != (image.shape[0], *image.shape[2:]):
        raise ValueError(
            f"An image (Z, C, H, W) needs ink (Z, H, W), not {tuple(image.shape)} and "
            f"{tuple(ink.shape)}."
        )
    if features is not None and features.shape[::2] != image.shape[::2]:
        raise ValueError("The features must be given for every voxel of the image.")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError("The spacing must be three positive lengths.")
    named = [torch.where(p == NOT_ANNOTATED, -1, p.short()).max() for p in mask_batches(ink)]
    largest = int(torch.stack(named).max())
    if largest < 0:
        raise ValueError("Nothing is inked: label at least one slice first.")
    if largest >= classes:
        raise ValueError(f"The ink names class {largest}, but there are {classes} classes.")
