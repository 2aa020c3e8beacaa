"""What all training frameworks share: a network, steps, predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..augment_cutmix import CutMix, sample_cutmix
from ..augment_intensity import change_intensity, sample_intensity
from ..augment_volumes import sample_cutmix_volume
from ..label_space import LabelSpace
from ..networks import EncoderDecoder, UNet2d, crop, pad_to_multiple
from ..ramps import Scalar
from ..regions import AdaptiveThresholds
from .batch import Batch
from .configuration import FrameworkConfig
from .metassl import MetaSSL, PredictionPair
from .modes import evaluating

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


class Framework(nn.Module):
    """A network, its losses and its predictions.

    Parameters
    ----------
    in_channels
        Image channels times context slices.
    classes
        Number of classes K, background included; overlapping classes have no background.
    config
        Settings; None takes the defaults.

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

    Raises
    ------
    ValueError
        When settings do not fit together, or the method is not defined for volumes.
    MissingMonaiError
        When a network for volumes is asked for and MONAI is not installed.
    """

    reference_predictions = 1
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
                f"{type(self).__name__} is made for images; train volumes with another preset, "
                "such as metassl-mean-teacher"
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
            Scalars; ``"total"`` is the one to minimise, the others are its unweighted parts:
            ``"supervised"`` and, as a method has them, ``"labelled_prior"``, ``"prior"``,
            ``"labelled_regions"``, ``"unlabelled"``, ``"intra"``, ``"cross"`` and ``"matched"``.
        """
        stride = self.network.stride
        batch = batch.normalised().padded(stride).moved(generator, self.config.weak, stride)
        return self.step(batch, progress, generator)

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a batch that is weakly augmented already.

        Parameters
        ----------
        batch
            As `losses` hands it on: int64 targets, a weight with every prior, and sides that the
            network divides.
        progress, generator
            As of `losses`, which this returns the result of.
        """
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
        """Draw boxes and partners, as configured, for images or volumes ``(B, C, ...)``."""
        sample = sample_cutmix if images.ndim == 4 else sample_cutmix_volume
        return sample(images, generator, self.config.strong)

    def strong_view(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return an intensity-changed view of weakly augmented images.

        Parameters
        ----------
        images
            ``(B, C, ...)``; the position channels stay.
        generator
            Source of randomness.

        Raises
        ------
        ValueError
            When images are said to be coloured and their channels are no multiple of three.
        """
        shown = images.shape[1] - self.config.position_channels
        values, positions = images[:, :shown], images[:, shown:]
        change = sample_intensity(values, generator, self.config.strong, self.config.colour)
        return torch.cat([change_intensity(values, change), positions], 1)

    def labelled_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the supervised part and, where the batch brings one, the prior of labelled images.

        Parameters
        ----------
        logits
            ``(Bl, K, ...)``, of ``batch.labelled_image``.
        batch
            Weakly augmented.

        Returns
        -------
        dict of str to Tensor
            Scalars ``"supervised"`` and ``"labelled_prior"``, a mean over pixels without
            annotation.
        """
        parts = {"supervised": self.space.supervised_loss(logits, batch.labelled_target)}
        if batch.labelled_prior is not None and batch.labelled_prior_weight is not None:
            blank = self.space.blank(batch.labelled_target)
            parts["labelled_prior"] = self.space.soft_cross_entropy(
                logits, batch.labelled_prior, batch.labelled_prior_weight, blank
            )
        return parts

    def prior_loss(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the prior of unlabelled images, a mean over all pixels, if the batch brings one.

        Parameters
        ----------
        logits
            ``(Bu, K, ...)``, of the unlabelled images or of a view of them.
        batch
            Its prior has the geometry and the boxes of that view.

        Returns
        -------
        dict of str to Tensor
            A scalar ``"prior"``, or nothing.
        """
        if batch.prior is None or batch.prior_weight is None or batch.unlabelled_count == 0:
            return {}
        return {"prior": self.space.soft_cross_entropy(logits, batch.prior, batch.prior_weight)}

    @property
    def prior_weights(self) -> dict[str, Scalar]:
        """Weights of the two prior parts in the total."""
        return {"prior": self.config.prior, "labelled_prior": self.config.prior}

    @torch.no_grad()
    def predict(self, image: Tensor) -> PredictOutput:
        """Predict images of any sides, in evaluation mode.

        Parameters
        ----------
        image
            ``(B, in_channels, H, W)`` or ``(B, in_channels, D, H, W)`` float; B may be 0.

        Returns
        -------
        PredictOutput
            Probabilities at the size of `image`, float32, without gradient.
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
        """Return the probabilities of the network alone, without any side branch.

        Parameters
        ----------
        image
            As in `predict`.

        Returns
        -------
        Tensor
            ``(B, K, ...)`` float32, as `predict` has them in `plain`.
        """
        with evaluating(self.network):
            return self.space.probabilities(self.network(image))

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict images or volumes whose sides the network divides, in the mode that it is in."""
        plain = self.space.probabilities(self.network(image))
        return PredictOutput(plain, plain)


def weighted_total(parts: dict[str, Tensor], weights: Mapping[str, Scalar]) -> dict[str, Tensor]:
    """Return `parts` with their weighted sum as ``"total"`` first.

    Parameters
    ----------
    parts
        Scalars on one device, at least one.
    weights
        Of all parts; others are not looked at.

    Raises
    ------
    KeyError
        When a part has no weight.
    """
    total = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
    return {"total": total, **parts}
