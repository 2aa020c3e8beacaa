"""What a propagation starts from: the ends that labels are carried from, and what ink teaches."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray

from .appearance import Appearance, fit_appearance, told_by_looks
from .ink_completion import NOT_ANNOTATED, complete_ink
from .label_sources import carrying_slices, stroke_areas
from .object_contrast import ScaledSlices, object_contrast
from .propagation_inputs import Execution, InkedVolume
from .propagation_result import PropagationConfig
from .shape_prior import object_radius, signed_distances, thinnest_radius
from .slice_brightness import EvenedSlices, slice_brightness
from .slice_features import StreamedFeatures, slice_features
from .working_region import Window, inked_pixels


class Sources:
    """Ink, descriptors and ends within a region of the slices.

    Parameters
    ----------
    volume : InkedVolume
        Its ink where to compute.
    region : tuple of slices
        Rows and columns.
    config : PropagationConfig
    execution : Execution
    """

    def __init__(
        self,
        volume: InkedVolume,
        region: Window,
        config: PropagationConfig,
        execution: Execution,
    ) -> None:
        self.volume, self.region, self.config = volume, region, config
        ink, classes = volume.ink, volume.classes
        across, *pixel = volume.spacing
        #: Distance of neighbouring slices in pixels.
        self.slice_distance = across / math.sqrt(math.prod(pixel))
        self.classes = classes
        #: That of the region.
        self.ink = ink[(slice(None), *region)]
        pixels = inked_pixels(ink).cpu().numpy()
        shown = np.zeros((len(ink), classes), dtype=bool)
        for z in np.flatnonzero(pixels):
            shown[z, ink[z][ink[z] != NOT_ANNOTATED].unique().long().cpu().numpy()] = True
        whole = pixels == ink[0].numel()
        areas = stroke_areas(ink) if bool(((pixels > 0) & ~whole).any()) else None
        carrying = carrying_slices(shown, whole, areas)
        if not carrying.any():  # nothing tells where the objects end: what is inked spreads
            carrying = pixels > 0
        self.anchors: list[int] = np.flatnonzero(carrying).tolist()
        objects = set(np.flatnonzero(shown[:, 1:].any(axis=1)).tolist())
        #: Known to be empty without ink: ends of stretches like the anchors, and nothing more.
        self.empty = sorted(set(volume.empty) - set(self.anchors) - objects)
        strokes = np.flatnonzero((pixels > 0) & ~carrying).tolist()
        #: Slices with strokes that correct what arrives there.
        self.partial: set[int] = set(strokes).difference(self.empty)
        self.features = _descriptors(volume, self.anchors, region, config, execution)
        inked = ink[self.anchors]
        used = torch.from_numpy(shown.any(axis=0))
        # Background is carried from empty slices as well, though it may be inked nowhere.
        used[0] |= bool(self.empty)
        self.absent = ~used.to(ink.device)
        #: Whether the appearance has met background: what it says of it means nothing otherwise.
        self.background_met = bool((self.ink[self.anchors] == 0).any())
        levels = 1 + math.floor(math.log2(max(1.0, object_radius(inked) / config.coarsest_radius)))
        self.matching = dataclasses.replace(
            config.matching, levels=max(2, min(levels, config.matching.levels + 1))
        )
        self.ends = {z: complete_ink(self.features[z], self.ink[z], classes) for z in self.anchors}
        self.empty_ends = self._empty_ends()
        background = torch.zeros_like(self.ends[self.anchors[0]])
        background[0] = 1.0
        self.ends |= dict.fromkeys(self.empty_ends, background)
        self.appearance: Appearance | None = fit_appearance(
            (self.features[z] for z in self.anchors), self.ink[self.anchors], classes
        )
        #: How far (0 to 1) the looks of each class alone are believed.
        self.looks_believed = self._looks_believed(whole)
        end_labels = torch.stack([self.ends[z].max(0).indices for z in self.anchors])
        self.smoothing = config.smoothing * thinnest_radius(end_labels, classes)
        self._distances: dict[int, torch.Tensor] = {}
        #: Rows and columns of the region that are looked at, see `within`.
        self.window: Window = (slice(0, self.ink.shape[1]), slice(0, self.ink.shape[2]))
        # Not itself: what refers to itself would be kept, descriptors and all, for a while.
        self._whole: Sources | None = None

    @property
    def whole(self) -> Sources:
        """The sources of the whole region."""
        return self._whole or self

    def within(self, window: Window) -> Sources:
        """Return the same within a part of the region.

        What ink teaches, and the distances from borders, are those of the whole region.

        Parameters
        ----------
        window : tuple of slices
            Rows and columns of the region.
        """
        if window == self.window:
            return self
        part = copy.copy(self)
        part._whole = self
        part.window = window
        part.ink = self.ink[(..., *window)]
        part.ends = {z: end[(..., *window)] for z, end in self.ends.items()}
        return part

    @property
    def grid(self) -> int:
        """Pixels that a pixel of the coarsest level of a pyramid is wide."""
        return 1 << (self.matching.levels - 1)

    def descriptors(self, z: int) -> torch.Tensor:
        """Return those (D, H, W) of a slice."""
        return self.features[z][(..., *self.window)]  # a view: a copy of each is kept for long

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.ink)

    def stretches(self) -> list[tuple[int, int]]:
        """Pairs of ends with slices between them; -1 and `depth` are open ends."""
        ends = [-1, *sorted((*self.anchors, *self.empty)), self.depth]
        return [(a, b) for a, b in itertools.pairwise(ends) if b - a > 1]

    def classes_at(self, z: int) -> torch.Tensor:
        """Return the winning class (H, W) at an end."""
        return self.ends[z].max(0).indices

    def distances(self, z: int) -> torch.Tensor:
        """Return the signed distances (classes, H, W) from the classes' borders at an end."""
        if z not in self._distances:
            self._distances[z] = signed_distances(self.whole.classes_at(z), self.classes)
        return self._distances[z][(..., *self.window)]

    def _looks_believed(self, whole: NDArray[np.bool_]) -> torch.Tensor:
        """Return how far (classes,) what looks like a class is taken for it; 0 for background."""
        tested = [z for z in self.anchors if whole[z]]
        if self.appearance is None or not self.background_met or len(tested) < 2:
            return torch.zeros(self.classes, device=self.ink.device)
        told = told_by_looks(self.features, tested, self.ink, self.classes)
        least, full = self.config.looks_dice
        return ((told - least) / (full - least)).clamp(0.0, 1.0)

    def _empty_ends(self) -> list[int]:
        """Return the empty slices that a stretch ends at."""
        ends = {z for stretch in self.stretches() for z in stretch}
        return sorted(ends.intersection(self.empty))


def _descriptors(
    volume: InkedVolume,
    anchors: list[int],
    region: Window,
    config: PropagationConfig,
    execution: Execution,
) -> torch.Tensor | StreamedFeatures:
    """Return what the pixels of a region look like, slice by slice."""
    image, device = volume.image, volume.ink.device
    if volume.features is not None:
        crop = volume.features[(..., *region)].to(device).float()
        spread = crop.var((0, 2, 3)).sum().clamp_min(1e-12)
        return crop / spread.sqrt()
    brightness = slice_brightness(image, config.brightness_jumps)
    even = image if brightness is None else EvenedSlices(image, brightness)
    contrast = object_contrast(even, volume.ink, anchors)
    if execution.storage is not None or not isinstance(image, torch.Tensor):
        seen = even if contrast is None else ScaledSlices(even, contrast)
        return StreamedFeatures(seen, *region, config.dimensions, config.scales, device)
    crop = image[(..., *region)].to(device).float()
    if brightness is not None:
        crop = brightness.apply(crop)
    if contrast is not None:
        crop = contrast.apply(crop)
    return slice_features(crop, config.dimensions, config.scales, execution.workers)
