"""Quality without ground truth: leave references out, and score what comes in their place.

A left-out reference lies farther from the ones that remain than the slices that the user asks
about lie from all of them, so its error is scaled down to their distances. Nothing is ever scored
on a slice that was trained on. A few such slices say little of all the others, of which the
confidence says something too: both are heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..volume.annotation import BACKGROUND, NOT_ANNOTATED
from .stack import SliceStack

#: Growth of the error with the distance d to the nearest reference, as d ** GROWTH.
GROWTH = 0.7

#: Left-out references that the Dice expected by the confidence counts as much as. That depends on
#: volumes being like those that the confidence was fitted on; left-out references do not, but they
#: are slices of which the suggestions expected most errors. Both together are nearer to the truth
#: than either alone, with references at equal distances and with suggested ones (docs/results.md).
CONFIDENCE_COUNTS = 6

Predictor = Callable[[Tensor, int], Tensor]
"""From ink (Z, H, W), and the slice that is blank in it, to probabilities (Z, K, H, W)."""


@dataclass(frozen=True)
class Estimate:
    """Estimated Dice of a proposal on the slices without ink.

    Parameters
    ----------
    per_class, spread : dict of int to float
        By label id; the spread is that over the left-out references.
    mean, low, high : float
        Over the classes; the interval spans the spread over the left-out references.
    count : int
        References that were left out, each in turn or together.
    """

    per_class: dict[int, float]
    spread: dict[int, float]
    mean: float
    low: float
    high: float
    count: int

    def with_confidence(self, expected: Mapping[int, float]) -> Estimate:
        """Return the estimate that takes the confidence into account.

        Parameters
        ----------
        expected : mapping of int to float
            Expected Dice by label id, see `expected_overlap`; empty if nothing is known.
        """
        if not expected:
            return self
        own = self.count / (self.count + CONFIDENCE_COUNTS)

        def joined(measured: float, by_confidence: float) -> float:
            return own * measured + (1 - own) * by_confidence

        by_confidence = float(np.mean(list(expected.values())))
        mean = joined(self.mean, by_confidence)
        # Where the two contradict each other, neither is to be relied on. Of the ends one may have
        # been cut off at 0 or 1, the farther one has not.
        apart = abs(self.mean - by_confidence) / 2
        deviation = max(self.mean - self.low, self.high - self.mean, apart)
        ids = [i for i in (*self.per_class, *expected) if i in expected]
        return replace(
            self,
            per_class=self.per_class
            | {i: joined(self.per_class.get(i, expected[i]), expected[i]) for i in ids},
            spread={i: deviation for i in ids}
            | {i: max(value, apart) for i, value in self.spread.items()},
            mean=mean,
            low=max(0.0, mean - deviation),
            high=min(1.0, mean + deviation),
        )

    def with_errors(self, ratio: float) -> Estimate:
        """Return the estimate of a method that makes `ratio` times the errors.

        One left-out slice tells the ratio only roughly: it is taken as a half to two at most.
        """
        factor = min(2.0, max(0.5, ratio))

        def scaled(value: float) -> float:
            return max(0.0, 1 - factor * (1 - value))

        return Estimate(
            {i: scaled(v) for i, v in self.per_class.items()},
            {i: factor * v for i, v in self.spread.items()},
            scaled(self.mean),
            scaled(self.low),
            scaled(self.high),
            self.count,
        )


def shown_scores(
    predictions: Sequence[Tensor], truths: Sequence[Tensor], classes: int
) -> npt.NDArray[np.float64]:
    """Dice of each class but the background in each slice that shows it; NaN in the others.

    Where a class is not there, one stray voxel would make its Dice 0. All of them count as false in
    the slices that do show the class, to each an equal share.

    Parameters
    ----------
    predictions, truths : sequences of N Tensor, (...) of int
        Of each slice.
    classes : int
        Number of classes, background included.

    Returns
    -------
    ndarray, (N, classes - 1)
    """
    counts = [
        [
            (int(((p == c) & (t == c)).sum()), int((p == c).sum()), int((t == c).sum()))
            for c in range(1, classes)
        ]
        for p, t in zip(predictions, truths, strict=True)
    ]
    hits, found, there = np.moveaxis(np.array(counts, dtype=float), -1, 0)
    shown = there > 0
    strays = np.where(shown, 0, found).sum(0) / np.maximum(shown.sum(0), 1)
    return np.where(shown, 2 * hits / np.maximum(found + there + strays, 1), np.nan)


def inner_references(stack: SliceStack) -> list[int]:
    """Return the references between two others: left out, they need no extrapolating."""
    return [z for z in stack.references()[1:-1] if z not in stack.outside]


def middle_reference(stack: SliceStack) -> list[int]:
    """Return the inner reference with an object nearest to the middle of all; none without any."""
    inner = [z for z in inner_references(stack) if _shows_object(stack, z)]
    middle = float(np.mean(stack.references())) if inner else 0.0
    return sorted(inner, key=lambda z: abs(z - middle))[:1]


def distance_scale(stack: SliceStack, left_out: int) -> float:
    """Return the factor from the matching's error on a left-out slice to that on the open ones.

    Both are measured from the nearest slice that labels are carried from; the error grows as
    distance ** `GROWTH`.
    """
    known, distances = np.array(stack.anchors()), open_distances(stack)
    if not len(distances):
        return 1.0
    reach = float(np.abs(known[known != left_out] - left_out).min())
    return min(1.0, float(np.mean((distances / reach) ** GROWTH)))


def open_distances(stack: SliceStack) -> npt.NDArray[np.intp]:
    """Return how far each open slice lies from the nearest one that labels are carried from."""
    return np.abs(_open_slices(stack)[:, None] - np.array(stack.anchors())[None]).min(1)


def estimate(
    stack: SliceStack,
    left_out: Sequence[int],
    predictions: Sequence[Tensor],
    returned: Sequence[Tensor | None] = (),
) -> Estimate | None:
    """Turn scores on left-out references into an estimate for the slices that are open.

    Parameters
    ----------
    stack : SliceStack
    left_out : sequence of int
        Reference slices that were left out, each while all others were known.
    predictions : sequence of Tensor, (H, W)
        Classes predicted for each of them.
    returned : sequence of (Tensor, (H, W), or None), optional
        What labels that went as far as the open slices lie say of each of them, see `way_back`.
        Its errors are the least that are estimated.

    Returns
    -------
    Estimate or None
        None when no reference that shows an object could be left out.
    """
    if not len(left_out) or not len(_open_slices(stack)):
        return None
    truths = [stack.ink[z] for z in left_out]
    scales = np.array([distance_scale(stack, z) for z in left_out])
    errors = scales[:, None] * (1 - shown_scores(predictions, truths, stack.classes))
    for i, classes in enumerate(returned):
        if classes is not None:
            least = 1 - shown_scores([classes], truths[i : i + 1], stack.classes)[0]
            errors[i] = np.maximum(errors[i], least)
    scores = 1 - np.clip(errors, 0, 1)  # NaN where a slice lacks a class
    means = np.array([row[np.isfinite(row)].mean() for row in scores if np.isfinite(row).any()])
    if not len(means):
        return None
    mean = float(means.mean())
    finite = {
        i: column[np.isfinite(column)]
        for i, column in zip(stack.class_ids[1:], scores.T, strict=True)
        if np.isfinite(column).any()
    }
    deviation = spread(means)
    return Estimate(
        {i: float(column.mean()) for i, column in finite.items()},
        {i: spread(column) for i, column in finite.items()},
        mean,
        max(0.0, mean - deviation),
        min(1.0, mean + deviation),
        len(means),
    )


def _open_slices(stack: SliceStack) -> npt.NDArray[np.intp]:
    """Return the slices that the user asks about: neither finished nor known to be empty."""
    known = np.union1d(stack.anchors(), stack.outside)
    return np.setdiff1d(np.arange(stack.depth), known)


def _shows_object(stack: SliceStack, z: int) -> bool:
    ink = stack.ink[z]
    return bool(((ink != BACKGROUND) & (ink != NOT_ANNOTATED)).any())


def spread(scores: npt.NDArray[np.float64]) -> float:
    """Return the standard deviation of scores of left-out slices.

    Two or three of them say little: never less than 2 % is claimed, and 6 % where there is but one.
    """
    return max(float(scores.std(ddof=1)) if len(scores) > 1 else 0.06, 0.02)


def leave_one_out(
    stack: SliceStack, predict: Predictor, proceed: Callable[[float], bool], together: int = 1
) -> tuple[list[int], list[Tensor]]:
    """Predict each inner reference from the others.

    Parameters
    ----------
    stack : SliceStack
    predict : callable
        From ink, and the left-out slice, to probabilities.
    proceed : callable
        Given the share begun, tells whether there is time for another one.
    together : int
        How many are predicted at a time, each in a thread.

    Returns
    -------
    slices : list of int
    predictions : list of Tensor, (H, W) of int64
    """
    inner = inner_references(stack)
    # From the middle outwards, so that a short budget still asks the most telling ones; those
    # without any object tell nothing alone.
    inner.sort(key=lambda z: (not _shows_object(stack, z), abs(z - stack.depth / 2)))

    def predicted(z: int) -> Tensor:
        return predict(stack.without([z]), z)[z].float().max(0).indices

    begun: dict[int, Future[Tensor]] = {}
    running: set[Future[Tensor]] = set()
    with ThreadPoolExecutor(together) as pool:
        for number, z in enumerate(inner):
            if len(running) == together:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for task in done:
                    task.result()  # what it raised ends all of it
            if not proceed(number / len(inner)):
                break
            begun[z] = pool.submit(predicted, z)
            running.add(begun[z])
    return list(begun), [task.result() for task in begun.values()]


def pooled_dice(stack: SliceStack, slices: Sequence[int], probabilities: Tensor) -> float:
    """Mean Dice over the classes that some slices show, pooled over them; NaN without any.

    What is taken there for any other class counts as false in those, to each an equal share.

    Parameters
    ----------
    stack : SliceStack
    slices : sequence of int
    probabilities : Tensor, (len(slices), K, H, W)
    """
    truth, found = stack.ink[list(slices)], probabilities.float().max(1).indices
    shown = [c for c in range(1, stack.classes) if bool((truth == c).any())]
    strays = int((found > 0).sum()) - sum(int((found == c).sum()) for c in shown)
    scores = []
    for c in shown:
        p, t = found == c, truth == c
        total = int(p.sum()) + int(t.sum()) + strays / len(shown)
        scores.append(2 * int((p & t).sum()) / total)
    return float(np.mean(scores)) if scores else float("nan")
