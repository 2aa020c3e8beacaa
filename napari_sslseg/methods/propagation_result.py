"""What the propagation of labels is set by, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from .slice_matching import MatchSettings


@dataclass(frozen=True)
class PropagationConfig:
    """Settings of `propagate`. One set serves all volumes: scales follow the inked objects."""

    dimensions: int = 10
    """Principal components of the descriptors."""
    scales: tuple[float, ...] = (0.0, 1.0, 2.0)
    """Blurs (pixels) of the descriptors' patches."""
    brightness_jumps: float = 0.02
    """How much the brightness must jump from slice to slice for slices to be evened
    (`slice_brightness`). Stacks that were recorded as a whole have .01 at most, hearts recorded
    slice by slice up to .15."""
    matching: MatchSettings = field(default_factory=MatchSettings)
    """Matching of neighbouring slices; its ``levels`` are limited by the object's size."""
    coarsest_radius: float = 6.0
    """Radius (pixels) that the objects keep at the coarsest level of the pyramid."""
    distance_power: float = 0.5
    """A read's share falls with this power of the way it has come."""
    cost_scale: float = 0.3
    """Gathered matching cost by which a read may be worse before its share falls to 1/e."""
    slice_cost_scale: float = 0.035
    """The same for each slice of the way between the two ends, where that is more: over a long way
    both reads gather cost that says nothing about which of them is right."""
    empty_weight: float = 0.5
    """Share of the background from a slice known to be empty, against a read from an inked slice:
    objects end more abruptly than their labels would fade from ink to ink."""
    appearance_weight: float = 0.1
    """Weight of the appearance's log likelihood ratio against the read labels, where the two inked
    slices are close."""
    appearance_far: float = 0.3
    """What is added to it where they are far apart: reads are worth less there."""
    appearance_gap: float = 15.0
    """Pixels between the two inked slices at which half of that is added."""
    looks_dice: tuple[float, float] = (0.65, 0.8)
    """Dice of a class by its looks alone (`appearance.told_by_looks`) from which, and at which in
    full, what looks like the class is believed although neither read shows it there: nuclei that
    come and go between the inked slices."""
    looks_weight: float = 1.0
    """What is then added to the weight of the appearance where the inked slices are far apart; half
    of it at ``appearance_gap``."""
    looks_chance: float = 0.02
    """Least chance of such a class anywhere, before its appearance is seen."""
    shape_weight: float = 2.0
    """Log weight of the shape interpolated between identical neighbouring inked slices."""
    shape_power: float = 4.0
    """That weight falls with this power of the overlap of the two slices' objects: where shapes
    move or change between them, interpolation knows nothing."""
    class_temperature: float = 0.5
    """Softmax temperature by which the classes of the object are told apart once a pixel belongs to
    it; below 1, parts that meet do not lose to the background because they share its chance."""
    class_blur: float = 4.0
    """Standard deviation (pixels) of the surroundings that tell the part of the object where a read
    shows none."""
    smoothing: float = 0.05
    """Smoothing of the decision in the plane, as a part of the thinnest class's radius."""
    margin: float = 0.25
    """Border around the inked objects that is worked on, as a part of their extent."""
    minimum_margin: int = 16
    """Smallest such border in pixels. If an object reaches it, the region is enlarged."""


@dataclass
class Propagation:
    """What `propagate` returns. The first axis is the slicing axis."""

    probabilities: torch.Tensor
    """(Z, classes, H, W) float32; sums to 1, exactly one-hot where inked."""
    agreement: torch.Tensor
    """(Z, H, W) float32 in [0, 1]: chance that the reads from either side name one class; where
    there is only one read, that two draws from it do; 1 on inked slices."""
    farther: torch.Tensor
    """(Z, H, W) uint8 class that the read from the farther side names: a second opinion. Where
    there is only one read, or ink, the winning class."""
    inked_slices: list[int]
    """The slices that labels were carried from, see `label_sources`."""
    empty_ends: list[int] = field(default_factory=list)
    """Slices known to be empty, not inked, that background was carried from."""

    def cpu(self) -> Propagation:
        """Return it in the processor's memory."""
        return Propagation(
            self.probabilities.cpu(),
            self.agreement.cpu(),
            self.farther.cpu(),
            self.inked_slices,
            self.empty_ends,
        )

    @property
    def sources(self) -> list[int]:
        """All slices that something was carried from, rising."""
        return sorted({*self.inked_slices, *self.empty_ends})

    @property
    def confidence(self) -> torch.Tensor:
        """(Z, H, W) in [0, 1]: probability of the winning class."""
        return self.probabilities.amax(1)

    @property
    def labels(self) -> torch.Tensor:
        """(Z, H, W) uint8 winning class."""
        return self.probabilities.max(1).indices.to(torch.uint8)
