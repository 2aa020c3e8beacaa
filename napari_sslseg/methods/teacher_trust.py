"""How far the teachers of unlabelled images may be believed, measured without their truth.

Several teachers may label unlabelled images: the network itself, its rectified prediction, labelled
pixels that look alike. Two things can be measured that tell good ones from bad ones.

*On labelled images.* A teacher labels these as it labels unlabelled ones, without seeing their
annotation, and so does the network, the *plain* teacher. A teacher that makes n times as many
errors as the plain one, in the sense of ``1 - Dice`` of a class, counts 1/n in that class, and one
that makes fewer counts in full. Who only repeats the network's errors, or adds to them, is thus
silenced as the network gets better.

*On unlabelled images.* Labelled and unlabelled images are of one kind, so classes should be about
as frequent in both. A teacher that finds a class on s of the unlabelled and r of the labelled
pixels has a recall of at most ``s / r`` in that class if s < r, and a precision of at most
``r / s`` if s > r. Of labels with the precision q, the share 1 - q teaches what is wrong, so that
``2 q - 1`` of them are gained: this is what they count, and nothing below one half. Where a class
is missed there is background in its place: background counts by the worst of all classes, in recall
and in precision. So a network that sees nothing but background does not teach that to itself, nor
does a teacher whose other labels are worthless teach background alone.

The first cannot see what labelled images do not show: with one labelled patient the teachers are
tried on that patient. The second is what then remains. It needs unlabelled images in which classes
are as frequent as in the labelled ones; it does not fit, say, slices chosen because an object is
there against all the other slices of a volume.

All is kept as running sums on the device; nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .label_space import LabelSpace
from .losses import IGNORE, one_hot

#: Share of a new batch in the running sums: they look back over some twenty batches.
RATE = 0.05

#: Errors that are added to those measured: Dice tells no finer differences.
MARGIN = 0.01


class TeacherTrust(nn.Module):
    """Running measures of several teachers.

    Parameters
    ----------
    teachers
        Their names. Below, `teacher` is one of them; a ValueError is raised for another.
    space
        What classes mean. Below, labels are ``(B, ...)`` class ids, or ``(B, K, ...)`` of 0 and 1
        where classes overlap.
    rate
        Weight of a new batch in the running sums.
    """

    overlap: Tensor
    """``(teachers, 2, K)``: pixels that a teacher, and the plain one beside it, labels right."""
    size: Tensor
    """``(teachers, 2, K)``: pixels that each gives a class plus those that have it."""
    shares: Tensor
    """``(teachers, 2, K)``: share of a class in unlabelled images, and in labelled ones."""

    def __init__(self, teachers: Sequence[str], space: LabelSpace, rate: float = RATE) -> None:
        super().__init__()
        self.teachers, self.space, self.rate = tuple(teachers), space, rate
        for name in ("overlap", "size", "shares"):
            self.register_buffer(name, torch.zeros(len(self.teachers), 2, space.classes))

    @torch.no_grad()
    def try_out(self, teacher: str, found: Tensor, plain: Tensor, annotation: Tensor) -> None:
        """Take in what a teacher, and the plain one, say about labelled images.

        Parameters
        ----------
        teacher
            Its name.
        found, plain, annotation
            Labels on one grid; pixels of `IGNORE` in any of them do not count.
        """
        known = (annotation != IGNORE) & (found != IGNORE) & (plain != IGNORE)
        truth = self._members(annotation, known)
        each = [self._members(labels, known) for labels in (found, plain)]
        overlap = torch.stack([_sums(labels * truth) for labels in each])
        size = torch.stack([_sums(labels + truth) for labels in each])
        self._follow(self.overlap, teacher, overlap)
        self._follow(self.size, teacher, size)

    @torch.no_grad()
    def compare(self, teacher: str, found: Tensor, plain: Tensor, annotation: Tensor) -> None:
        """Take in how frequent classes are.

        Parameters
        ----------
        teacher
            Its name.
        found
            Its labels of unlabelled images.
        plain, annotation
            Labels of the labelled images: those of the network stand in where nothing is annotated,
            as ink seldom covers classes alike.
        """
        filled = torch.where(annotation == IGNORE, plain.to(annotation.dtype), annotation)
        counts = []
        for labels in (found, filled):
            known = labels != IGNORE
            counted = self._spread(known).sum().clamp_min(1)
            counts.append(_sums(self._members(labels, known)) / counted * self._each)
        self._follow(self.shares, teacher, torch.stack(counts))

    def accuracy(self, teacher: str) -> Tensor:
        """Return the Dice ``(2, K)`` on labelled images, of a teacher and of the plain one.

        In [0, 1]; 1 for a class that has not been there yet.
        """
        index = self.teachers.index(teacher)
        size = self.size[index]
        return torch.where(size > 0, 2 * self.overlap[index] / size.clamp_min(1e-9), 1.0)

    def skill(self, teacher: str) -> Tensor:
        """Return ``(K,)`` in (0, 1]: errors of the plain teacher by those of this one, at most 1.

        Errors are 1 - Dice, and `MARGIN` more.
        """
        errors = 1 - self.accuracy(teacher) + MARGIN
        return (errors[1] / errors[0]).clamp(max=1)

    def recall(self, teacher: str) -> Tensor:
        """Return ``(K,)`` in [0, 1], the largest recall that there can be in each class.

        1 for a class that is nowhere labelled.
        """
        found, there = self.shares[self.teachers.index(teacher)]
        # A class that is nowhere labelled cannot be missed.
        return torch.where(there > 0, found / there.clamp_min(1e-9), 1.0).clamp(max=1)

    def precision(self, teacher: str) -> Tensor:
        """Return ``(K,)`` in [0, 1], the largest precision that the labels of each class can have.

        1 for a class that the teacher has not found yet.
        """
        found, there = self.shares[self.teachers.index(teacher)]
        return torch.where(found > 0, there / found.clamp_min(1e-9), 1.0).clamp(max=1)

    def of_classes(self, teacher: str) -> tuple[Tensor, Tensor]:
        """Return what labels count, two times ``(K,)`` in [0, 1], without gradient.

        The first is of the labels of each class; the second, of the answer that a pixel does not
        belong to a class, is only of use where classes overlap.
        """
        skill = self.skill(teacher)
        gained, hidden = _gained(self.precision(teacher)), _gained(self.recall(teacher))
        found = skill * gained
        if not self.space.overlapping:
            # What is missed is background in the teacher's eyes. And background is not to be all
            # that a teacher has left to say: it would be the answer to everything.
            found = torch.cat([found[:1] * (hidden * gained)[1:].amin(), found[1:]])
        return found, skill * hidden

    def of_labels(self, teacher: str, labels: Tensor) -> Tensor:
        """Return what each label counts.

        Parameters
        ----------
        teacher
            Whose labels they are.
        labels
            Pixels of `IGNORE` count as background, or, where classes overlap, as a no.

        Returns
        -------
        Tensor
            float32 in [0, 1], shaped like `labels`.
        """
        found, missed = self.of_classes(teacher)
        if not self.space.overlapping:
            return found[torch.where(labels == IGNORE, 0, labels).long()]
        shape = (1, -1, *[1] * (labels.ndim - 2))
        return torch.where(labels == 1, found.view(shape), missed.view(shape))

    @property
    def _each(self) -> int:
        """Masks of overlapping classes have one map for each."""
        return self.space.classes if self.space.overlapping else 1

    def _spread(self, mask: Tensor) -> Tensor:
        return mask.float() if self.space.overlapping else mask.float().unsqueeze(1)

    def _members(self, labels: Tensor, known: Tensor) -> Tensor:
        if self.space.overlapping:
            return (labels == 1).float() * known
        return one_hot(labels, self.space.classes) * known.unsqueeze(1)

    def _follow(self, sums: Tensor, teacher: str, new: Tensor) -> None:
        own = sums[self.teachers.index(teacher)]
        # Sums and counts start from zero alike, so that their ratio is right from the first batch.
        own.lerp_(new.to(own), self.rate)


def _gained(right: Tensor) -> Tensor:
    """Return the share of labels that are right, less those that are wrong, at least 0."""
    return (2 * right - 1).clamp_min(0)


def _sums(maps: Tensor) -> Tensor:
    return maps.sum((0, *range(2, maps.ndim)))
