"""The default preset: SemSim's views, MetaSSL's trust, RPG's labels, and outside labels.

SemSim provides the predictions, MetaSSL decides pixel by pixel how much each may teach, on labelled
pixels too, and RPG adds labels that come from annotated pixels rather than from the network's own
opinion. Pseudo-labels that come with the batch, such as labels propagated from slice to slice, are
one more teacher with its own weight map.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..augment import WeakAugmentation
from ..matching import DEFAULT_NEIGHBOURS, match, rpg_loss
from ..networks import ChannelDropout
from ..prototypes import Prototypes
from ..ramps import Scalar, warm_up
from ..reference_pool import ReferencePool
from ..teacher_trust import TeacherTrust
from . import trials
from .base import Batch, PredictionPair, weighted_total
from .fixmatch import mixed_prior
from .metassl import MetaSSLConfig
from .modes import without_dropout
from .semsim import SemSim
from .semsim_config import SemSimConfig
from .semsim_views import Asked, Views


@dataclass(frozen=True)
class CombinedConfig(SemSimConfig):
    """Settings of the default preset, where they differ from SemSim.

    Attributes
    ----------
    weak
        Small rotations and scalings only: all slices of a volume share one orientation, and a flip
        would turn a left organ into a right one.
    metassl
        On: the adaptive thresholds of each class replace the fixed 0.95 of L_u, so that a rare
        class, which never becomes that certain, is taught from the first steps.
    regions
        With half the loss Dice, as SemSim's L_u, for small structures.
    supervised
        1: ink is the only truth.
    labelled_regions
        0.5: the same pixels once more, weighted by regions; enough to sharpen where the network is
        unsure, too little to override a plain average.
    unlabelled, intra, cross
        SemSim's published ratio 2 : 1 : 1 and sizes.
    matched
        0.25, that of the other similarity terms: matched labels are coarse, but independent of the
        classifier's mistakes.
    neighbours
        5, as published.
    fusion_width
        64: on a CPU the published 128 would cost more than the network itself.
    grid
        32: a grid of 32 x 32 resolves what the fused features of a 128-pixel crop hold.
    ramp_begin
        Until this share of the training only ink and prior teach, on weak views: the cheapest
        steps, for a network that knows nothing yet.
    first_steps
        The same for at least so many steps, however short the training is.
    ramp_end
        The terms in which the network teaches itself grow to full weight over the first fifth.
        Heterogeneous weights never mask everything out, so an untrained network must be kept from
        teaching. Ink and prior count in full from the start.
    similarity_every
        Compute the similarity terms (intra, cross, matched) in every so-many-th step only. They
        cost several times the rest of a step, and on a CPU the number of steps within the budget
        decides. Their weight is not raised for it: one heavy step in eight threw short trainings
        off.
    gated
        Weigh each teacher of unlabelled images, the network itself included, by what can be
        measured of it without their truth; see `teacher_trust.TeacherTrust`. Off, as for a volume
        with some labelled slices, which are chosen because an object is there, a prior of its own
        says what to trust; the preset ``default`` for data sets has it on.
    """

    gated: bool = False
    similarity_every: int = 1
    weak: WeakAugmentation = field(
        default_factory=lambda: WeakAugmentation(
            flip=0.0, quarter_turns=0.0, rotation=15.0, scale=(0.85, 1.2), free=0.8
        )
    )
    metassl: bool = True
    regions: MetaSSLConfig = field(default_factory=lambda: MetaSSLConfig(dice=0.5))
    supervised: float = 1.0
    labelled_regions: float = 0.5
    matched: float = 0.25
    neighbours: int = DEFAULT_NEIGHBOURS
    fusion_width: int = 64
    grid: int = 32
    ramp_begin: float = 0.0
    first_steps: int = 0
    ramp_end: float = 0.2


class Combined(SemSim):
    """SemSim, MetaSSL and RPG in one step."""

    config: CombinedConfig
    # References of RPG and MetaSSL are to be normalised and undropped like the weak view.
    clean_labelled_pass = True

    def __init__(
        self, in_channels: int, classes: int, config: CombinedConfig | None = None
    ) -> None:
        super().__init__(in_channels, classes, config or CombinedConfig())
        self._steps = self._first = 0
        self.trust: TeacherTrust | None = None
        if self.config.gated:
            self.trust = TeacherTrust(trials.TEACHERS, self.space)

    @property
    def repeats(self) -> bool:
        """Whether each step has all terms."""
        c = self.config
        return c.ramp_begin == 0 and c.first_steps == 0 and c.similarity_every == 1

    def counters(self) -> dict[str, int]:
        """Return how often the network has taught itself, and how often it has not yet."""
        return {"steps": self._steps, "first": self._first}

    def set_counters(self, counters: dict[str, int]) -> None:
        """Take over what `counters` returned; only ``"first"`` may be missing."""
        self._steps, self._first = counters["steps"], counters.get("first", 0)

    def go_on(self, steps: int) -> None:
        """Expect weights that have been trained for so many steps: what is left are first steps."""
        self._first = min(steps, self.config.first_steps)

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        if batch.unlabelled_count == 0:
            return weighted_total(self.labelled_step(batch), self.weights(progress))
        early = self._first < self.config.first_steps
        if early or (self.config.ramp_begin > 0 and progress < self.config.ramp_begin):
            self._first += 1
            return self.first_step(batch, progress)
        self._steps += 1
        if self._steps % self.config.similarity_every:
            return self.quick_step(batch, progress, generator)
        views = self.views(batch, generator)
        parts = self.labelled_losses(views.labelled_logits, batch)
        weak_probs, rectified = self.weak_targets(views)
        self.observe(weak_probs, rectified, batch, views)
        parts |= self.labelled_regions(views.clean_labelled, views.labelled_logits, batch)
        parts["unlabelled"] = self.plain_teaching(weak_probs, batch, views)
        parts["intra"] = self.rectified_teaching(rectified, batch, views)
        parts["cross"] = self.cross_image(batch, views)
        parts["matched"] = self.reference_matching(batch, views)
        parts |= self.prior_loss(views.strong_logits, mixed_prior(batch, views.first_box))
        return weighted_total(parts, self.weights(progress))

    def first_step(self, batch: Batch, progress: Scalar) -> dict[str, Tensor]:
        """Return the losses before the network teaches itself: ink and prior, on weak views.

        Parameters
        ----------
        batch, progress
            As of `step`.
        """
        nl = batch.labelled_count
        logits, other = self.logits(
            torch.cat([batch.labelled_image, batch.unlabelled_image])
        ).tensor_split([nl])
        parts = self.labelled_losses(logits, batch) | self.prior_loss(other, batch)
        return weighted_total(parts, self.weights(progress))

    def quick_step(
        self, batch: Batch, progress: Scalar, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Return the losses without the similarity terms: ink, prior, and weak to strong.

        Parameters
        ----------
        batch, progress, generator
            As of `step`.
        """
        c = self.config
        nl, weak = batch.labelled_count, batch.unlabelled_image
        box = self.cutmix(weak, generator)
        strong = box.mix(self.strong_view(weak, generator))
        with torch.no_grad(), without_dropout(self.network):
            reference = self.space.probabilities(self.logits(weak))
        drop = ChannelDropout(c.feature_dropout, generator, nl)
        logits, streamed = self.logits(
            torch.cat([batch.labelled_image, strong]), drop
        ).tensor_split([nl])
        probs = self.space.probabilities(logits.detach())
        parts = self.labelled_losses(logits, batch)
        pairs = [PredictionPair(reference, streamed)], [PredictionPair(probs, logits)]
        self.metassl.observe(*pairs, batch.labelled_target)
        parts |= self.labelled_regions(probs, logits, batch)
        mixed = box.mix(reference)
        if self.trust is not None:
            own, found = self.space.decide(probs)[1], self.space.decide(reference)[1]
            self.trust.compare("unlabelled", found, own, batch.labelled_target)
        trust = self.trust_of("unlabelled", mixed)
        parts["unlabelled"] = self.weak_to_strong(mixed, streamed, trust)
        parts |= self.prior_loss(streamed, mixed_prior(batch, box))
        return weighted_total(parts, self.weights(progress))

    def weights(self, progress: Scalar) -> dict[str, Scalar]:
        """Return the weight of each part at one moment of the training."""
        c = self.config
        ramp = warm_up(progress, c.ramp_begin, c.ramp_end)
        return {
            "supervised": c.supervised,
            "labelled_regions": ramp * c.labelled_regions,
            "unlabelled": ramp * c.unlabelled,
            "intra": ramp * c.intra,
            "cross": ramp * c.cross,
            "matched": ramp * c.matched,
            "prior": c.prior,
            "labelled_prior": c.prior,
        }

    def plain_teaching(self, weak_probs: Tensor, batch: Batch, views: Views) -> Tensor:
        """Return L_u of the weak view's own prediction, a scalar.

        Parameters
        ----------
        weak_probs
            ``(Bu, K, H, W)``, of `weak_targets`.
        batch, views
            Of the step.
        """
        if self.trust is not None:
            trials.try_plain(self.trust, views, batch.labelled_target, weak_probs)
        mixed = views.first_box.mix(weak_probs)
        trust = self.trust_of("unlabelled", mixed)
        return self.weak_to_strong(mixed, views.strong_logits, trust)

    def rectified_teaching(self, rectified: Tensor, batch: Batch, views: Views) -> Tensor:
        """Return L_intra of the rectified prediction, a scalar.

        Parameters
        ----------
        rectified
            ``(Bu, K, h, w)``, of `weak_targets`.
        batch, views
            Of the step.
        """
        if self.trust is not None:
            with torch.no_grad():
                n = trials.RECTIFIED
                probs = views.clean_labelled[:n].clamp(1e-6, 1)
                # Rectifying adds the same to all logits of a pixel as these lack.
                logits = torch.logit(probs, 1e-6) if self.space.overlapping else probs.log()
                on_labelled = self.rectified(logits, views.labelled_fused[:n])
                on_labelled = self.space.probabilities(on_labelled)
            trials.try_rectified(self.trust, views, batch.labelled_target, on_labelled, rectified)
        return self.intra_image(rectified, views)

    def trust_of(self, teacher: str, probs: Tensor) -> Tensor | None:
        """Return what the labels of a teacher's probabilities count; None unless it is measured."""
        if self.trust is None:
            return None
        return self.trust.of_labels(teacher, self.space.decide(probs)[1])

    def trust_of_answers(
        self, batch: Batch, views: Views, prototypes: list[Prototypes], asked: Asked
    ) -> Tensor | float:
        """Return what the answers count, as measured; parameters as of `SemSim`."""
        if self.trust is None:
            return 1.0
        labels = asked.log_probs.argmax(1)
        temperature = self.config.cross_temperature
        trials.try_prototypes(
            self.trust, views, batch.labelled_target, prototypes, labels, temperature
        )
        return self.trust.of_labels("cross", labels)

    def reference_matching(self, batch: Batch, views: Views) -> Tensor:
        """Return RPG's loss: s1 against labels that the weak view takes from labelled pixels.

        Parameters
        ----------
        batch, views
            Of the step.
        """
        c = self.config
        pool = ReferencePool.from_maps(
            views.labelled_decoder, batch.labelled_target, self.classes, c.grid
        )
        found = match(views.weak_decoder, pool, c.neighbours, c.grid)
        box, weight = views.first_box, found.weight
        if self.trust is not None:
            trials.try_matching(
                self.trust, views, batch.labelled_target, self.classes, c.grid, found
            )
            trust = self.trust.of_labels("matched", found.labels)
            weight = weight * (trust.mean(1) if self.space.overlapping else trust)
        return rpg_loss(views.strong_logits, box.mix(found.labels), box.mix(weight))
