"""What all training frameworks share: batches, configuration, prediction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..augment import (
    StrongAugmentation,
    WeakAugmentation,
    change_intensity,
    move_images,
    move_labels,
    move_maps,
    sample_intensity,
    sample_weak,
)
from ..losses import IGNORE, soft_cross_entropy, supervised_loss
from ..networks import DEFAULT_CHANNELS, UNet2d, pad_to_multiple
from ..regions import AdaptiveThresholds, partition
from .metassl import MetaSSL, MetaSSLConfig, PredictionPair

__all__ = [
    "Batch",
    "Framework",
    "FrameworkConfig",
    "PredictOutput",
    "PredictionPair",
    "weighted_total",
]


@dataclass
class Batch:
    """One training batch.

    Attributes
    ----------
    labelled_image
        ``(Bl, C, H, W)`` float32.
    labelled_target
        ``(Bl, H, W)`` class ids, 255 where not annotated.
    unlabelled_image
        ``(Bu, C, H, W)`` float32; Bu may be 0.
    prior
        ``(Bu, K, H, W)`` soft pseudo-labels carried from elsewhere, or None.
    prior_weight
        ``(Bu, H, W)`` trust in `prior`, in [0, 1]; None is full trust.
    labelled_prior, labelled_prior_weight
        The same for the labelled images; only their pixels without annotation use it.
    """

    labelled_image: Tensor
    labelled_target: Tensor
    unlabelled_image: Tensor
    prior: Tensor | None = None
    prior_weight: Tensor | None = None
    labelled_prior: Tensor | None = None
    labelled_prior_weight: Tensor | None = None

    @property
    def labelled_count(self) -> int:
        """Number of labelled images."""
        return self.labelled_image.shape[0]

    @property
    def unlabelled_count(self) -> int:
        """Number of unlabelled images."""
        return self.unlabelled_image.shape[0]

    def normalised(self) -> Batch:
        """Return the batch with int64 targets and explicit prior weights."""
        changes: dict[str, Tensor] = {"labelled_target": self.labelled_target.long()}
        for prior, weight in (
            (self.prior, "prior_weight"),
            (self.labelled_prior, "labelled_prior_weight"),
        ):
            if prior is not None and getattr(self, weight) is None:
                changes[weight] = torch.ones_like(prior[:, 0])
        return replace(self, **changes)

    def padded(self, multiple: int) -> Batch:
        """Return the batch with H and W padded to multiples: pixels that carry no supervision."""
        height, width = self.labelled_image.shape[-2:]
        right, bottom = -width % multiple, -height % multiple
        if right == 0 and bottom == 0:
            return self

        def constant(maps: Tensor | None, value: float) -> Tensor | None:
            return None if maps is None else F.pad(maps, (0, right, 0, bottom), value=value)

        target = constant(self.labelled_target, IGNORE)
        assert target is not None
        return Batch(
            pad_to_multiple(self.labelled_image, multiple),
            target,
            pad_to_multiple(self.unlabelled_image, multiple),
            constant(self.prior, 0),
            constant(self.prior_weight, 0),
            constant(self.labelled_prior, 0),
            constant(self.labelled_prior_weight, 0),
        )

    def moved(self, generator: torch.Generator, config: WeakAugmentation) -> Batch:
        """Return the batch under random geometry; 255 or weight 0 where nothing is known."""
        labelled = sample_weak(self.labelled_image, generator, config)
        unlabelled = sample_weak(self.unlabelled_image, generator, config)

        def soft(maps: Tensor | None, theta: Tensor) -> Tensor | None:
            return None if maps is None else move_maps(maps, theta)

        def weight(maps: Tensor | None, theta: Tensor) -> Tensor | None:
            return None if maps is None else move_maps(maps[:, None], theta, fill=0)[:, 0]

        return Batch(
            move_images(self.labelled_image, labelled),
            move_labels(self.labelled_target, labelled),
            move_images(self.unlabelled_image, unlabelled),
            soft(self.prior, unlabelled),
            weight(self.prior_weight, unlabelled),
            soft(self.labelled_prior, labelled),
            weight(self.labelled_prior_weight, labelled),
        )


class PredictOutput(NamedTuple):
    """Probabilities of one prediction, both ``(B, K, H, W)``.

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
        One value a level, or None for the published ones.
    weak, strong
        Augmentations, with the published ranges.
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
    """

    channels: tuple[int, ...] = DEFAULT_CHANNELS
    dropout: tuple[float, ...] | None = None
    weak: WeakAugmentation = field(default_factory=WeakAugmentation)
    strong: StrongAugmentation = field(default_factory=StrongAugmentation)
    metassl: bool = False
    regions: MetaSSLConfig = field(default_factory=MetaSSLConfig)
    prior: float = 1.0
    position_channels: int = 0


class Framework(nn.Module):
    """A network, its losses and its predictions.

    Parameters
    ----------
    in_channels
        Image channels times context slices.
    classes
        Number of classes, background included.
    config
        Settings.

    Attributes
    ----------
    network
        The network that predicts.
    reference_predictions
        Number of predictions that serve as reference, each with its own thresholds.
    rectified_index
        Index of the thresholds that belong to the rectified prediction.
    """

    reference_predictions = 1
    rectified_index = 0

    def __init__(
        self, in_channels: int, classes: int, config: FrameworkConfig | None = None
    ) -> None:
        super().__init__()
        self.config: FrameworkConfig = config or FrameworkConfig()
        self.in_channels = in_channels
        self.classes = classes
        self.network = self.build_network()
        self.metassl = MetaSSL(classes, self.reference_predictions, self.config.regions)

    def build_network(self) -> UNet2d:
        """Return a fresh network of the configured size."""
        c = self.config
        return UNet2d(self.in_channels, self.classes, c.channels, c.dropout)

    @property
    def thresholds(self) -> AdaptiveThresholds:
        """The adaptive thresholds, saved with the state."""
        return self.metassl.thresholds

    def losses(
        self, batch: Batch, progress: float, generator: torch.Generator
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
        batch = batch.normalised().padded(self.network.stride).moved(generator, self.config.weak)
        return self.step(batch, progress, generator)

    def step(self, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch that is weakly augmented already."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Do what follows an optimiser step, such as moving a teacher."""

    def strong_view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return an intensity-changed view of weakly augmented images."""
        shown = images.shape[1] - self.config.position_channels
        values, positions = images[:, :shown], images[:, shown:]
        change = sample_intensity(values, generator, self.config.strong)
        return torch.cat([change_intensity(values, change), positions], 1)

    def labelled_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the supervised part and, where the batch brings one, the prior of labelled images.

        `logits` are those of ``batch.labelled_image``.
        """
        parts = {"supervised": supervised_loss(logits, batch.labelled_target)}
        if batch.labelled_prior is not None and batch.labelled_prior_weight is not None:
            blank = batch.labelled_target == IGNORE
            parts["labelled_prior"] = soft_cross_entropy(
                logits, batch.labelled_prior, batch.labelled_prior_weight, blank
            )
        return parts

    def prior_loss(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the prior of unlabelled images, if the batch brings one."""
        if batch.prior is None or batch.prior_weight is None or batch.unlabelled_count == 0:
            return {}
        return {"prior": soft_cross_entropy(logits, batch.prior, batch.prior_weight)}

    @property
    def prior_weights(self) -> dict[str, float]:
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
        height, width = image.shape[-2:]
        if image.shape[0] == 0:
            empty = image.new_zeros(0, self.classes, height, width)
            return PredictOutput(empty, empty)
        padded = pad_to_multiple(image, self.network.stride, 2 * self.network.stride)
        with evaluating(self):
            output = self.predict_padded(padded)
        return PredictOutput(*(p[..., :height, :width] for p in output))

    def regions(self, output: PredictOutput, prediction: int | None = None) -> Tensor:
        """Return the MetaSSL regions ``(B, H, W)`` uint8 of predicted unlabelled images.

        The rectified prediction is the reference, the plain one the supervised prediction.
        `prediction` selects the thresholds; None takes those of the rectified prediction.
        """
        index = self.rectified_index if prediction is None else prediction
        return partition(output.rectified, output.plain.argmax(1), self.thresholds.get(index))

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict an image whose sides the network divides."""
        plain = self.network(image).float().softmax(1)
        return PredictOutput(plain, plain)


def weighted_total(parts: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
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
    layers = [m for m in module.modules() if isinstance(m, nn.Dropout) and m.training]
    for m in layers:
        m.eval()
    try:
        yield
    finally:
        for m in layers:
            m.train()
