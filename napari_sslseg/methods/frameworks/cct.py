"""Cross-consistency training (Ouali et al., CVPR 2020), plain or with MetaSSL.

One encoder, a main decoder and auxiliary ones. Plain, each auxiliary decoder sees features that are
perturbed in a way of its own and follows the main one; with MetaSSL the main decoder and an
auxiliary one teach each other, as its released script does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..feature_perturbations import Features, Perturbation, perturbed
from ..networks import EncoderDecoder, UNet2d
from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, PredictOutput, weighted_total

#: Of the medical baselines: with the U-Net 3.71 M parameters, as their tables list.
PLAIN: tuple[Perturbation, ...] = ("noise", "channels", "drop")


@dataclass(frozen=True)
class CCTConfig(FrameworkConfig):
    """Settings of cross-consistency training.

    Attributes
    ----------
    auxiliary
        What each auxiliary decoder sees; see `feature_perturbations`. None: noise, dropped channels
        and dropped places, the three decoders of the medical baselines; with MetaSSL one decoder
        with dropped channels. The original has up to seven kinds, several decoders each: write a
        kind as often as it is to have a decoder.
    auxiliary_supervised
        Whether auxiliary decoders learn from annotations too. False: as in the original, where only
        the main one does, so that they know nothing but what it tells them. True: as in the medical
        baselines. With MetaSSL they always do, as they teach there.
    feature_dropout
        Probability of dropping a channel. 0.4, the largest that the released MetaSSL variant has in
        a decoder.
    decoder_dropout
        Dropout in the decoders, deepest first, in place of that in the encoder, which then has
        none; None leaves both as in the other frameworks. The released MetaSSL variant has
        ``(0.4, 0.3, 0.2, 0.1)`` and perturbs nothing else (`auxiliary` of ``("none",)``).
    direction
        ``"both"``: each decoder teaches the other, as released with MetaSSL. ``"one"``: only the
        auxiliary one teaches the main one, as drawn in the paper. Without MetaSSL the main decoder
        always teaches the auxiliary ones, which alone are perturbed.
    labelled_reference
        Whose prediction partitions the labelled pixels for a decoder, with MetaSSL: its ``"own"``,
        or that of the ``"other"``, which teaches it on unlabelled images; argued in `CPSConfig`. Of
        an auxiliary decoder the other is the main one; of the main one it is each auxiliary one,
        and the loss is their mean.
    consistency
        Largest weight of the unlabelled loss, a mean over auxiliary decoders.
    ramp_end
        Share of the training at which it is reached.
    """

    auxiliary: tuple[Perturbation, ...] | None = None
    auxiliary_supervised: bool = False
    feature_dropout: float = 0.4
    decoder_dropout: tuple[float, ...] | None = None
    direction: Literal["both", "one"] = "both"
    labelled_reference: Literal["own", "other"] = "own"
    consistency: float = 1.0
    ramp_end: float = 0.4

    @property
    def kinds(self) -> tuple[Perturbation, ...]:
        """The perturbation of each auxiliary decoder."""
        if self.auxiliary is not None:
            return self.auxiliary
        return ("channels",) if self.metassl else PLAIN


class CCT(Framework):
    """Decoders on one encoder; the main one predicts, the mean of all is the rectified prediction.

    Thresholds 0 belong to the main decoder, k to the k-th auxiliary one.

    Raises
    ------
    ValueError
        For volumes, without an auxiliary decoder, or when there are not as many values of
        `decoder_dropout` as decoder steps.
    """

    config: CCTConfig
    compares_labelled = True

    def __init__(self, in_channels: int, classes: int, config: CCTConfig | None = None) -> None:
        config = config or CCTConfig()
        if config.network != "unet":
            raise ValueError(
                "CCT is made for images; train volumes with another preset, such as "
                "metassl-mean-teacher"
            )
        if not config.kinds:
            raise ValueError("CCT needs at least one auxiliary decoder")
        self.reference_predictions = 1 + len(config.kinds)
        super().__init__(in_channels, classes, config)
        self.auxiliary = nn.ModuleList()
        for _ in config.kinds:
            network = self.build_network()
            network.encoders = nn.ModuleList()  # a decoder only
            self.auxiliary.append(network)

    def build_network(self) -> EncoderDecoder:
        """Return a fresh network, with dropout in the decoder if that is asked for."""
        c = self.config
        if c.decoder_dropout is None:
            return super().build_network()
        steps = len(c.channels) - 1
        if len(c.decoder_dropout) != steps:
            raise ValueError(
                f"{steps} decoder steps need as many values of decoder_dropout, "
                f"not {len(c.decoder_dropout)}"
            )
        network = UNet2d(self.in_channels, self.classes, c.channels, (0.0,) * len(c.channels))
        for block, p in zip(network.decoders, c.decoder_dropout, strict=True):
            for layer in block.modules():
                if isinstance(layer, nn.Dropout):
                    layer.p = p
        return network

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        features = self.network.encode(torch.cat([batch.labelled_image, batch.unlabelled_image]))
        main = self.network.decode(features)[0]
        logits = [z.split([nl, nu]) for z in (main, *self.followers(features, main, generator))]
        taught = logits if c.metassl or c.auxiliary_supervised else logits[:1]
        each = [self.labelled_losses(z[0], batch) | self.prior_loss(z[1], batch) for z in taught]
        parts = {name: torch.stack([one[name] for one in each]).sum() for name in each[0]}
        if c.metassl:
            parts |= self.heterogeneous(logits, batch)
        else:
            reference = self.space.probabilities(logits[0][1].detach())
            labelled = self.space.probabilities(logits[0][0].detach())
            unlabelled = [PredictionPair(reference, logits[1][1])] if nu else []
            pair = PredictionPair(labelled, logits[0][0])
            self.metassl.observe(unlabelled, [pair], batch.labelled_target)
            if nu:
                gaps = [self.space.probabilities(z[1]) - reference for z in logits[1:]]
                parts["unlabelled"] = torch.stack([gap.square().mean() for gap in gaps]).mean()
        ramp = c.consistency * warm_up(progress, 0.0, c.ramp_end)
        weights = {"supervised": 1.0, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)

    def followers(
        self, features: Features, main: Tensor, generator: torch.Generator
    ) -> list[Tensor]:
        """Return the logits of the auxiliary decoders.

        Parameters
        ----------
        features
            Of the encoder.
        main
            ``(B, K, H, W)`` logits of the main decoder, which guide some perturbations.
        generator
            Randomness.

        Returns
        -------
        list of Tensor
            ``(B, K, H, W)``, in the order of `CCTConfig.kinds`.
        """
        answers = self.space.decide(self.space.probabilities(main.detach()))[1]
        objects = answers.amax(1) if self.space.overlapping else (answers > 0).long()
        found = []
        for kind, network in zip(self.config.kinds, self.auxiliary, strict=True):

            def decode(maps: Features, network: nn.Module = network) -> Tensor:
                logits = network.decode(maps)[0]  # type: ignore[operator]
                return self.space.exclusive_logits(logits.float()).log_softmax(1)

            seen = perturbed(
                kind, features, objects, decode, generator, self.config.feature_dropout
            )
            found.append(network.decode(seen)[0])  # type: ignore[operator]
        return found

    def heterogeneous(self, logits: list[tuple[Tensor, ...]], batch: Batch) -> dict[str, Tensor]:
        """Return MetaSSL's parts: the main decoder and each auxiliary one, both or one way.

        Parameters
        ----------
        logits
            Of the main decoder, then of the auxiliary ones: each the logits ``(Bl, K, H, W)`` of
            the labelled and ``(Bu, K, H, W)`` of the unlabelled images.
        batch
            Weakly augmented.

        Returns
        -------
        dict of str to Tensor
            Scalars ``"labelled_regions"``, a sum over decoders, and ``"unlabelled"``, a mean over
            the auxiliary ones.
        """
        c, nu, target = self.config, batch.unlabelled_count, batch.labelled_target
        probs = [[self.space.probabilities(z.detach()) for z in split] for split in logits]
        followers = range(1, len(logits))
        forth = [PredictionPair(probs[0][1], logits[k][1], 0) for k in followers]
        back = [PredictionPair(probs[k][1], logits[0][1], k) for k in followers]
        # The other prediction of an auxiliary decoder is the main one, and that of the main one
        # what the auxiliary ones say together.
        main, *others = (p[0] for p in probs)
        together = self.space.decide(torch.stack(others).mean(0))[1]
        compared = [together, *[self.space.decide(main)[1] for _ in followers]]
        labelled = [
            PredictionPair(p[0], z[0], k, compared=answers)
            for k, (p, z, answers) in enumerate(zip(probs, logits, compared, strict=True))
        ]
        self.metassl.observe([*forth, *back] if nu else (), labelled, target)
        if c.labelled_reference == "own":
            parts = {"labelled_regions": self.metassl.labelled(labelled, target)}
        else:
            # The learner is itself the other prediction that its reference is compared with.
            learn = [PredictionPair(probs[0][0], logits[k][0], 0) for k in followers]
            main_learns = [PredictionPair(probs[k][0], logits[0][0], k) for k in followers]
            mean = self.metassl.labelled(main_learns, target) / len(followers)
            parts = {"labelled_regions": self.metassl.labelled(learn, target) + mean}
        if nu:
            taught = [*forth, *back] if c.direction == "both" else back
            parts["unlabelled"] = self.metassl.unlabelled(taught) / len(followers)
        return parts

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict with the main decoder, and with the mean of all, none perturbed."""
        features = self.network.encode(image)
        decoders = [self.network, *self.auxiliary]
        each = [
            self.space.probabilities(net.decode(features, size=image.shape[2:])[0])
            for net in decoders
        ]
        return PredictOutput(each[0], torch.stack(each).mean(0))
