"""What a propagation is given: the volume, what an earlier one knows of it, and the means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from .ink_completion import NOT_ANNOTATED
from .propagation_result import Propagation
from .slice_batches import mask_batches
from .storage import Slices, Storage


@dataclass(frozen=True)
class InkedVolume:
    """What is known of a volume. The slicing axis comes first."""

    image: torch.Tensor | Slices
    """(Z, C, H, W) real, its channels on one scale (`intensity.standardise`)."""
    ink: torch.Tensor
    """(Z, H, W) uint8 class of each annotated voxel, 255 (not annotated) elsewhere: whole slices or
    strokes, see `label_sources`."""
    classes: int
    """Number of classes, background (0) included."""
    spacing: Sequence[float] = (1.0, 1.0, 1.0)
    """Distance (mm) of slices, rows and columns."""
    empty: Sequence[int] = ()
    """Slices known to show background alone though nothing is inked there. Background is carried
    from them as from whole slices, but they teach nothing else."""
    features: torch.Tensor | None = None
    """(Z, D, H, W) float learned descriptors to match on instead of the built-in ones. They are
    scaled as a whole to unit mean variance, nothing else is assumed of them."""

    def check(self) -> None:
        """Make sure that all of it fits together.

        Raises
        ------
        ValueError
            If it does not, if nothing is inked, or if ink names a class beyond `classes`; the
            message says which.
        """
        image, ink = self.image.shape, self.ink.shape
        if len(image) != 4 or ink != (image[0], *image[2:]):
            raise ValueError(
                f"An image (Z, C, H, W) needs ink (Z, H, W), not {tuple(image)} and {tuple(ink)}."
            )
        if self.features is not None:
            depth, _, *plane = self.features.shape
            if (depth, *plane) != ink:
                raise ValueError("The features must be given for every voxel of the image.")
        if len(self.spacing) != 3 or min(self.spacing) <= 0:
            raise ValueError("The spacing must be three positive lengths.")
        parts = mask_batches(self.ink)
        named = [torch.where(p == NOT_ANNOTATED, -1, p.short()).max() for p in parts]
        largest = int(torch.stack(named).max())
        if largest < 0:
            raise ValueError("Nothing is inked: label at least one slice first.")
        if largest >= self.classes:
            raise ValueError(
                f"The ink names class {largest}, but there are {self.classes} classes."
            )

    def for_device(self, device: torch.device | str | None) -> InkedVolume:
        """Return it with its ink where to compute; of the image only a part follows.

        Parameters
        ----------
        device : torch.device or str, optional
            Default: where the image is, or the ink of an image that is read slice by slice.

        Returns
        -------
        InkedVolume
        """
        if device is None:
            device = (self.image if isinstance(self.image, torch.Tensor) else self.ink).device
        return replace(self, ink=self.ink.to(device))


@dataclass(frozen=True)
class Execution:
    """By what means labels are propagated; what comes of it differs by rounding at most."""

    device: torch.device | str | None = None
    """Where to compute and return; default: see `InkedVolume.for_device`."""
    workers: int = 1
    """Threads, each of which works on a stretch between two inked slices. Torch keeps to one thread
    in each meanwhile."""
    storage: Storage | None = None
    """Where the result is kept when it is too large for the memory. The image is then read slice by
    slice, and descriptors are computed as they are needed instead of all at once."""
    progress: Callable[[float], None] | None = None
    """Called with the finished part in [0, 1]."""


@dataclass(frozen=True)
class Renewal:
    """A propagation to go on from after some slices were inked or corrected.

    Only the stretches that end at one of them are computed again, and open ends whose trend it
    tells; all other slices are taken over. What all of the ink says together (appearance and how
    far it is believed, contrast, region, descriptors, scale and smoothing) is that of now in the
    former, and that of before in the latter.
    """

    previous: Propagation
    """Made with the same slices known to be empty; it is not modified."""
    changed: Sequence[int]
    """Slices whose ink differs from that of ``previous``."""
