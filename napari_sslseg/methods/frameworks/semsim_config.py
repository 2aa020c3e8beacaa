"""Settings of SemSim: published values, and a named option for every point that is left open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from ..affinity import DEFAULT_TEMPERATURE, Axis
from ..fusion import SimpleFusion, SpatialFusion
from ..prototypes import DEFAULT_REGIONS, DEFAULT_SHARPNESS, Divergence
from .configuration import FrameworkConfig


@dataclass(frozen=True)
class SemSimConfig(FrameworkConfig):
    """Settings of SemSim.

    Attributes
    ----------
    threshold
        Probability that a weak target must reach, 0.95 as published.
    unlabelled, intra, cross
        0.5, 0.25 and 0.25, the published optimum; supervised and unlabelled parts are then halved.
    affinity_temperature, cross_temperature
        0.1 each. Without a temperature (1.0, as printed) affinities after a ReLU are nearly uniform
        and the cross-image prediction can never reach the threshold.
    sharpness
        r of the uncertainty weight, 1000 as published.
    prototype_regions
        4 cells a side, the published optimum.
    fusion
        ``"spatial"`` for the published module, ``"simple"`` for the reduced variant.
    fusion_width
        128 as published; 64 costs a quarter.
    feature_dropout
        Of encoder channels entering the decoder of strong views, 0.5 as published. The fusion
        module sees them undropped, as it defines the similarities.
    grid
        Largest side of the grid of affinities and queries in training; predictions use twice that.
        The published 56 has ten times the pairs of 32.
    second_view
        Whether s2 is a view of its own, as published. Without, s1 serves both similarities, which
        the paper finds 0.6 Dice points worse on ACDC, and a third of the gradient pass is saved.
    affinity_axis
        ``"source"``: what a pixel reads is a mean. ``"output"``: the printed product; see
        `affinity.spread`.
    affinity_resize
        I of Eq. 5, which brings the prediction to the grid of the affinities: ``"smoothed"`` takes
        the mean of all pixels that a cell holds, ``"plain"``, as printed, is bilinear between the
        four next to its middle; see `affinity.resize`.
    affinity_values
        What is spread: ``"logits"``, as the text says, so that the unnormalised sum of Eq. 5 is
        fit for a softmax; or ``"probabilities"``, whose sum is then divided by its total.
    affinity_learns
        What the gradient of L_intra reaches: ``"both"`` the prediction and the affinities, or the
        ``"affinity"`` alone, as in CorrMatch.
    intra_at
        Where L_intra compares: on the grid of the ``"features"``, a sixteenth of the price, or at
        the size of the ``"image"``.
    targets
        Weak predictions teach as ``"hard"`` labels, as in FixMatch and UniMatch, whose Dice the
        paper takes over, or as ``"soft"`` ones; the masks are the same.
    dice_of_absent
        Whether L_u and L_intra count classes that no pseudo-label of the batch has, as published;
        see `losses.masked_dice` for what that does.
    cross_mask, cross_threshold
        Which weak prediction must reach a threshold for L_cross, and which: the ``"query"`` itself,
        as printed, or the ``"weak"`` prediction of the decoder; None is `threshold`.
    divergence
        See `prototypes.agreement`; ``"raw"`` is the printed formula.
    certainty_of
        Whose similarities the uncertainty of Eqs. 10 to 12 is taken from: of the ``"weak"`` view,
        because it weighs how far that one may teach, or of the ``"strong"`` one, whose similarities
        Eq. 8 introduces; the paper writes one symbol for both.
    weak_dropout
        Whether dropout acts while the weak view is predicted. Off, as in the other frameworks: what
        teaches should not be noisier than it is. Public code of weak-to-strong methods leaves it
        on.
    feature_dropout_at
        ``"decoder"``, or ``"decoder+fusion"`` for the fusion module of strong views too, where both
        then miss the same channels.
    fusion_heads, fusion_mlp_ratio
        Of the fusion module, not stated in the paper; see `fusion.SpatialFusion`.
    fusion_windows
        S of the fusion module, not stated in the paper; None takes 7 on 28 cells and cells of at
        most 4 on other sizes.
    fusion_place
        ``"side"``: the fusion module is a branch for the similarities alone, as the algorithm and
        the inference by encoder and decoder only tell. ``"main"``: what it finds is also added,
        through a 1x1 convolution that starts at zero, to the encoder's third map before decoding,
        so that inference needs it; the paper's table, which lists supervised training with 2.60 M
        parameters, can be read so.
    heterogeneous
        With `metassl`, the terms whose pixels are weighed by regions: the ``"plain"`` prediction's,
        and, if named, the rectified one's, ``"intra"``, and that of the prototypes, ``"cross"``.
        There, regions take the place of the threshold; the uncertainty weight stays.
    """

    threshold: float = 0.95
    unlabelled: float = 0.5
    intra: float = 0.25
    cross: float = 0.25
    affinity_temperature: float = DEFAULT_TEMPERATURE
    cross_temperature: float = DEFAULT_TEMPERATURE
    sharpness: float = DEFAULT_SHARPNESS
    prototype_regions: int = DEFAULT_REGIONS
    fusion: Literal["spatial", "simple"] = "spatial"
    fusion_width: int = 128
    feature_dropout: float = 0.5
    grid: int = 56
    second_view: bool = True
    affinity_axis: Axis = "source"
    affinity_resize: Literal["smoothed", "plain"] = "smoothed"
    affinity_values: Literal["logits", "probabilities"] = "logits"
    affinity_learns: Literal["both", "affinity"] = "both"
    intra_at: Literal["features", "image"] = "features"
    targets: Literal["hard", "soft"] = "hard"
    dice_of_absent: bool = True
    cross_mask: Literal["query", "weak"] = "query"
    cross_threshold: float | None = None
    divergence: Divergence = "softmax"
    certainty_of: Literal["weak", "strong"] = "weak"
    weak_dropout: bool = False
    fusion_heads: int | None = None
    fusion_mlp_ratio: int = 3
    feature_dropout_at: Literal["decoder", "decoder+fusion"] = "decoder"
    fusion_windows: int | None = None
    fusion_place: Literal["side", "main"] = "side"
    heterogeneous: tuple[Literal["plain", "intra", "cross"], ...] = ("plain",)

    def build_fusion(self) -> nn.Module:
        """Return a new fusion module for the second to fourth stage of the encoder."""
        stages, width = self.channels[1:4], self.fusion_width
        if self.fusion == "simple":
            return SimpleFusion(stages, width)
        heads, ratio = self.fusion_heads, self.fusion_mlp_ratio
        return SpatialFusion(stages, width, heads, ratio, windows=self.fusion_windows)
