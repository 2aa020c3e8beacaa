"""What all training frameworks share: batches, configuration, prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..augment import (
    CutMix,
    StrongAugmentation,
    WeakAugmentation,
    sample_cutmix,
)
from ..augment_intensity import change_intensity, sample_intensity
from ..augment_volumes import sample_cutmix_volume
from ..label_space import LabelSpace
from ..networks import DEFAULT_CHANNELS, EncoderDecoder, UNet2d, crop, pad_to_multiple
from ..ramps import Scalar
from ..regions import AdaptiveThresholds, partition
from .batch import Batch
from .metassl import MetaSSL, MetaSSLConfig, PredictionPair

__all__ = [
    "Batch",
    "Framework",
    "FrameworkConfig",
    "PredictOutput",
    "PredictionPair",
    "weighted_total",
]


class PredictOutput(NamedTuple):
    """Probabilities of one prediction, both ``(B, K, H, W)`` or ``(B, K, D, H, W)``.

    Attributes
    ----------
    plain
        The network's own prediction, the *supervised* one in MetaSSL's terms.
    rectified
        What the method makes of it, the *reference*; equals `plain` where the method adds nothing.
    """

    plain: Tensor
    rectified: Tensor


@dataclass(frozen=True)
class FrameworkConfig:
    """Settings that all frameworks share.

    Attributes
    ----------
    channels
        Widths of the U-Net. The published ones give 1.81 M parameters; ``(16, 32, 64, 128)`` is for
        quick training on a CPU.
    dropout
        One value a level, or None for the published ones. Of networks for volumes, which drop in
        two places, the first value counts.
    weak, strong
        Augmentations: our own, wider than any paper's, unless their `draw` is ``"published"``.
    metassl
        Replace the framework's unlabelled loss by the heterogeneous one, and add it on labelled
        pixels. Off by default: each framework is then as published.
    regions
        Settings of that loss and of the thresholds, which are kept in any case.
    prior
        Weight of the cross-entropy to the pseudo-labels that come with a batch. 1 puts a fully
        trusted pseudo-label on a par with ink; its own weight map says how far to trust it.
    position_channels
        How many of the last input channels tell where a pixel is; they move with the image, but
        intensity changes leave them alone.
    colour
        Whether images are red, green and blue, so that strong views change saturation and hue too;
        context slices are then three channels each.
    overlapping
        Whether classes may overlap (multi-label, a sigmoid each) instead of excluding each other.
        There is then no background class.
    network
        ``"unet"`` for images; ``"vnet"`` and ``"unet3d"`` for volumes, of MONAI.
    """

    channels: tuple[int, ...] = DEFAULT_CHANNELS
    dropout: tuple[float, ...] | None = None
    weak: WeakAugmentation = field(default_factory=WeakAugmentation)
    strong: StrongAugmentation = field(default_factory=StrongAugmentation)
    metassl: bool = False
    regions: MetaSSLConfig = field(default_factory=MetaSSLConfig)
    prior: float = 1.0
    position_channels: int = 0
    colour: bool = False
    overlapping: bool = False
    network: Literal["unet", "unet3d", "vnet"] = "unet"


class Framework(nn.Module):
    """A network, its losses and its predictions.

    Parameters
    ----------
    in_channels
        Image channels times context slices.
    classes
        Number of classes, background included; overlapping classes have no background.
    config
        Settings.

    Attributes
    ----------
    network
        The network that predicts.
    space
        What its channels mean.
    takes_volumes
        Whether the method is defined for volumes too.
    compares_labelled
        Whether there are two predictions of each labelled image, so that MetaSSL can compare them.
    reference_predictions
        Number of predictions that serve as reference, each with its own thresholds.
    rectified_index
        Index of the thresholds that belong to the rectified prediction.
    """

    reference_predictions = 1
    rectified_index = 0
    takes_volumes = True
    compares_labelled = False

    def __init__(
        self, in_channels: int, classes: int, config: FrameworkConfig | None = None
    ) -> None:
        super().__init__()
        self.config: FrameworkConfig = config or FrameworkConfig()
        self.in_channels = in_channels
        self.classes = classes
        self.space = LabelSpace(classes, self.config.overlapping)
        if self.config.network != "unet" and not self.takes_volumes:
            raise ValueError(
                f"{type(self).__name__} is defined on images; for volumes use another framework"
            )
        if self.config.network != "unet" and (
            self.config.weak.stretch or self.config.weak.crop < 1
        ):
            raise ValueError("stretch and crop are made for images; switch them off")
        agreement = self.config.regions.labelled_agreement
        if self.config.metassl and agreement == "predictions" and not self.compares_labelled:
            raise ValueError(
                f"{type(self).__name__} makes one prediction of a labelled image, which cannot be "
                "compared with another; set labelled_agreement to annotation"
            )
        self.network = self.build_network()
        self.metassl = MetaSSL(classes, self.reference_predictions, self.config.regions, self.space)

    def build_network(self) -> EncoderDecoder:
        """Return a fresh network of the configured kind and size."""
        c = self.config
        if c.network == "unet":
            return UNet2d(self.in_channels, self.classes, c.channels, c.dropout)
        from .. import networks3d

        published = networks3d.DROPOUT[c.network]
        dropout = published if c.dropout is None else c.dropout[0]
        if c.network == "unet3d":
            return networks3d.UNet3d(self.in_channels, self.classes, c.channels, dropout)
        return networks3d.VNet3d(self.in_channels, self.classes, dropout)

    @property
    def thresholds(self) -> AdaptiveThresholds:
        """The adaptive thresholds, saved with the state."""
        return self.metassl.thresholds

    @property
    def repeats(self) -> bool:
        """Whether steps on batches of the same shapes all do the same operations.

        Such a step can be recorded on a device and replayed.
        """
        return True

    def losses(
        self, batch: Batch, progress: Scalar, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the losses of one step.

        Parameters
        ----------
        batch
            Images as loaded; augmentation happens here.
        progress
            Share of the training done, in [0, 1], for ramps.
        generator
            Source of all randomness of augmentation; the network's own dropout uses torch's.

        Returns
        -------
        dict of str to Tensor
            Scalars; ``"total"`` is the one to minimise, the others are its unweighted parts.
        """
        stride = self.network.stride
        batch = batch.normalised().padded(stride).moved(generator, self.config.weak, stride)
        return self.step(batch, progress, generator)

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch that is weakly augmented already."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Do what follows an optimiser step, such as moving a teacher."""

    def counters(self) -> dict[str, int]:
        """Return what a run must know beside the state to go on exactly where it stopped."""
        return {}

    def set_counters(self, counters: dict[str, int]) -> None:
        """Take over what `counters` returned."""

    def go_on(self, steps: int) -> None:
        """Expect weights that have been trained for so many steps: what new ones need is over."""

    def cutmix(self, images: Tensor, generator: torch.Generator) -> CutMix:
        """Draw boxes and partners for images or volumes."""
        sample = sample_cutmix if images.ndim == 4 else sample_cutmix_volume
        return sample(images, generator, self.config.strong)

    def strong_view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return an intensity-changed view of weakly augmented images."""
        shown = images.shape[1] - self.config.position_channels
        values, positions = images[:, :shown], images[:, shown:]
        change = sample_intensity(values, generator, self.config.strong, self.config.colour)
        return torch.cat([change_intensity(values, change), positions], 1)

    def labelled_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the supervised part and, where the batch brings one, the prior of labelled images.

        `logits` are those of ``batch.labelled_image``.
        """
        parts = {"supervised": self.space.supervised_loss(logits, batch.labelled_target)}
        if batch.labelled_prior is not None and batch.labelled_prior_weight is not None:
            blank = self.space.blank(batch.labelled_target)
            parts["labelled_prior"] = self.space.soft_cross_entropy(
                logits, batch.labelled_prior, batch.labelled_prior_weight, blank
            )
        return parts

    def prior_loss(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the prior of unlabelled images, if the batch brings one."""
        if batch.prior is None or batch.prior_weight is None or batch.unlabelled_count == 0:
            return {}
        return {"prior": self.space.soft_cross_entropy(logits, batch.prior, batch.prior_weight)}

    @property
    def prior_weights(self) -> dict[str, Scalar]:
        """Weights of the two prior parts in the total."""
        return {"prior": self.config.prior, "labelled_prior": self.config.prior}

    @torch.no_grad()
    def predict(self, image: Tensor) -> PredictOutput:
        """Predict ``(B, C, H, W)`` of any size, in evaluation mode.

        Returns
        -------
        PredictOutput
            Probabilities at the size of `image`.
        """
        if image.shape[0] == 0:
            empty = image.new_zeros(0, self.classes, *image.shape[2:])
            return PredictOutput(empty, empty)
        padded = pad_to_multiple(image, self.network.stride, 2 * self.network.stride)
        with evaluating(self):
            output = self.predict_padded(padded)
        return PredictOutput(*(crop(p, image.shape[2:]) for p in output))

    @torch.no_grad()
    def predict_plain(self, image: Tensor) -> Tensor:
        """Return the probabilities of the network alone, without any side branch."""
        with evaluating(self.network):
            return self.space.probabilities(self.network(image))

    def regions(self, output: PredictOutput, prediction: int | None = None) -> Tensor:
        """Return the MetaSSL regions ``(B, H, W)`` uint8 of predicted unlabelled images.

        The rectified prediction is the reference, the plain one the supervised prediction.
        `prediction` selects the thresholds; None takes those of the rectified prediction.
        """
        index = self.rectified_index if prediction is None else prediction
        reference = self.space.exclusive_probabilities(output.rectified)
        learner = self.space.decide(output.plain)[1]
        return partition(reference, learner, self.thresholds.get(index))

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict an image whose sides the network divides."""
        plain = self.space.probabilities(self.network(image))
        return PredictOutput(plain, plain)


def weighted_total(parts: dict[str, Tensor], weights: Mapping[str, Scalar]) -> dict[str, Tensor]:
    """Return `parts` with their weighted sum as ``"total"`` first.

    Raises
    ------
    KeyError
        When a part has no weight.
    """
    total = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
    return {"total": total, **parts}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode and back."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, training in modes.items():
            m.training = training


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """Switch dropout off but leave batch normalisation as it is.

    A prediction that teaches should not be noisy, yet must see features normalised like those of
    the prediction that learns.
    """
    kinds = (nn.Dropout, nn.Dropout2d, nn.Dropout3d)
    layers = [m for m in module.modules() if isinstance(m, kinds) and m.training]
    for m in layers:
        m.eval()
    try:
        yield
    finally:
        for m in layers:
            m.train()
