"""A person who labels a volume with the tool's help, simulated from the truth.

The annotator starts with nothing, labels the first slices that a strategy asks for, has masks
proposed, and then, round after round, goes to the slice that the strategy suggests and makes it
right: what differs from the proposal is painted, and the slice becomes known as a whole. All
arrays are stacks whose first axis is the slicing axis.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from oracles import BestNext, KnownErrors

from napari_sslseg.acquisition.content import look_at, scaled
from napari_sslseg.acquisition.evidence import evidence_of, object_areas
from napari_sslseg.acquisition.strategy import Strategy
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.proposal import Proposal

NOT_ANNOTATED = 255


@dataclass
class Volume:
    """An image with its truth."""

    name: str
    dataset: str
    image: np.ndarray
    truth: np.ndarray
    spacing: tuple[float, float, float]

    @classmethod
    def read(cls, path: Path, axis: int) -> Volume:
        """Read ``X.nii.gz`` and ``X_gt.nii.gz``, the slicing axis first."""
        name = path.name.removesuffix(".nii.gz")
        image: Any = nib.load(path)
        labels: Any = nib.load(path.with_name(f"{name}_gt.nii.gz"))
        spacing = [float(s) for s in image.header.get_zooms()[:3]]
        first = spacing.pop(axis)
        folder = path.parent
        return cls(
            name,
            folder.parent.name if folder.name in ("train", "val") else folder.name,
            np.ascontiguousarray(np.moveaxis(np.asarray(image.dataobj), axis, 0), np.float32),
            np.ascontiguousarray(np.moveaxis(np.asarray(labels.dataobj), axis, 0), np.uint8),
            (first, spacing[0], spacing[1]),
        )

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.truth)

    @property
    def classes(self) -> list[int]:
        """Label values of the object's classes."""
        return [int(c) for c in np.unique(self.truth) if c]

    def extent(self) -> tuple[int, int]:
        """First and last slice of the object."""
        shown = np.flatnonzero(self.truth.any(axis=(1, 2)))
        return int(shown[0]), int(shown[-1])

    def dice(self, labels: np.ndarray) -> float:
        """Dice over the whole volume, mean of the classes."""
        scores = []
        for value in self.classes:
            one, two = labels == value, self.truth == value
            scores.append(2 * int((one & two).sum()) / (int(one.sum()) + int(two.sum())))
        return float(np.mean(scores))


class Proposer(Protocol):
    """What proposes masks from ink."""

    def propose(self, ink: np.ndarray) -> Proposal:
        """Return masks for ink (Z, H, W), 255 where nothing is stated."""

    def close(self) -> None:
        """Leave nothing behind."""


class ReferenceMatching:
    """The Reference-guided proposal, as a training run makes it first; in this process."""

    def __init__(self, volume: Volume, extent: Extent | None = None) -> None:
        self._volume, self._extent = volume, extent

    def propose(self, ink: np.ndarray) -> Proposal:
        """Carry the known slices through the volume and judge the result."""
        from napari_sslseg.methods.propagation import propagate
        from napari_sslseg.methods.voxel_evidence import Predictions
        from napari_sslseg.training.judge import raised_read
        from napari_sslseg.training.judged_volume import make_proposal
        from napari_sslseg.training.stack import SliceStack

        volume = self._volume
        stack = SliceStack.from_volume(volume.image, ink, 0, volume.spacing, self._extent)
        found = propagate(stack.inked_volume())
        known = Predictions(
            found.probabilities, found.probabilities, found.agreement, found.sources
        )
        other = raised_read(found.probabilities, found.farther)
        return make_proposal("Reference-guided", stack, known, other, {})[0]

    def close(self) -> None:
        """Do nothing."""


class TrainingRun:
    """Whole training runs on a project that stays from round to round, as *Retrain* does."""

    def __init__(
        self, volume: Volume, preset: str, seconds: float, extent: Extent | None = None
    ) -> None:
        from napari_sslseg.volume.classes import ClassTable
        from napari_sslseg.volume.project import ImageInfo, Project

        self._folder = tempfile.mkdtemp()
        self._preset, self._seconds = preset, seconds
        self._project = Project.create(
            Path(self._folder) / "project",
            volume.image,
            ImageInfo(volume.name, volume.image.shape, volume.spacing),
            ClassTable.from_ids(volume.classes),
            0,
        )
        if extent is not None:
            self._project.extent = extent
            self._project.save()

    def propose(self, ink: np.ndarray) -> Proposal:
        """Train on with the ink as it is now; the recommended proposal."""
        from napari_sslseg.training.control import Control
        from napari_sslseg.training.events import Event, Finished
        from napari_sslseg.training.request import TrainRequest
        from napari_sslseg.training.session import run_project

        self._project.ink_store.save(ink)
        events: list[Event] = []
        request = TrainRequest(self._preset, self._seconds)
        run_project(self._project.path, request, events.append, Control())
        chosen = next(e.recommended for e in events if isinstance(e, Finished))
        return self._project.read_proposal(chosen)

    def close(self) -> None:
        """Delete the project."""
        shutil.rmtree(self._folder, ignore_errors=True)


class ShapeInterpolation:
    """Signed distances interpolated between the known slices; knows nothing of the image."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def propose(self, ink: np.ndarray) -> Proposal:
        """Interpolate; nothing is proposed beyond the outermost known slices."""
        from few_slice import Case, signed_distance

        volume = self._volume
        known = [int(z) for z in np.flatnonzero((ink != NOT_ANNOTATED).all(axis=(1, 2)))]
        case = Case(
            volume.name,
            volume.dataset,
            volume.image,
            ink,
            volume.truth,
            known,
            volume.classes,
            volume.spacing,
        )
        labels = signed_distance(case, 0.0, "cpu").labels.astype(np.uint8)
        nothing = np.zeros_like(labels)
        return Proposal("Shape interpolation", labels, nothing, nothing)

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Effort:
    """What it has taken so far, after a round."""

    touched: int
    painted: int
    rounds: int
    seconds: float
    dice: float


@dataclass(frozen=True)
class Ground:
    """Rules of a simulation.

    Parameters
    ----------
    first : int
        Slices asked for before any proposal.
    told : str
        Who knows in which slice the object begins and in which it ends, as an annotator sees who
        looks through the volume first. ``"all"``: every strategy, and the proposer too, as when
        the user says it in the application. ``"baselines"``: only the strategies that choose
        without a proposal, for their choice of slices; the proposer is not told. ``"nobody"``:
        neither strategies nor proposer, as when the user says nothing.
    target : float
        Dice at which the annotator stops.
    most : float
        Share of the slices after which the annotator gives up.
    """

    first: int = 3
    told: str = "baselines"
    target: float = 0.95
    most: float = 1.0


def annotate(
    volume: Volume,
    strategy: Strategy,
    proposer: Proposer,
    ground: Ground,
    tell: Callable[[Effort], None] | None = None,
) -> tuple[list[Effort], list[int]]:
    """Simulate one annotator on one volume.

    Returns
    -------
    list of Effort
        After each round.
    list of int
        The slices, in the order in which they were touched.
    """
    told = ground.told == "all" or (ground.told == "baselines" and strategy.blind)
    extent = volume.extent() if told else (None, None)
    begin = time.perf_counter()
    content = look_at(volume.image, 0, extent)
    touched = strategy.first(content, ground.first)
    shown = [bool(volume.truth[z].any()) for z in touched]
    while not any(shown):  # nothing to learn from yet: the annotator asks for more
        wanted = len(touched) + 1
        more = [z for z in strategy.first(content, wanted) if z not in touched]
        touched += more[:1]
        shown = [bool(volume.truth[z].any()) for z in touched]
    seconds = time.perf_counter() - begin
    painted = int(np.count_nonzero(volume.truth[touched]))
    ink = np.full(volume.truth.shape, NOT_ANNOTATED, np.uint8)
    ink[touched] = volume.truth[touched]
    trace: list[Effort] = []
    while True:
        begin = time.perf_counter()
        proposal = proposer.propose(ink)
        seconds += time.perf_counter() - begin
        dice = volume.dice(proposal.classes)
        trace.append(Effort(len(touched), painted, len(trace) + 1, round(seconds, 2), dice))
        if tell is not None:
            tell(trace[-1])
        if dice >= ground.target or len(touched) >= ground.most * volume.depth:
            return trace, touched
        begin = time.perf_counter()
        sizes = scaled(object_areas(proposal.classes, 0)[:, None].astype(float))
        # Alike in the image and in the proposal: what a slice shows, how large the object is.
        descriptors = np.concatenate([content.descriptors, sizes], axis=1)
        evidence = evidence_of(proposal, 0, touched, descriptors=descriptors, extent=extent)
        if isinstance(strategy, BestNext):
            index = strategy.choose(volume, ink, proposer, evidence)
        else:
            if isinstance(strategy, KnownErrors):
                evidence = strategy.look(volume, ink, proposal, evidence)
            ranked = strategy.rank(evidence)
            if not ranked:  # every slice of the stated extent is known
                return trace, touched
            index = ranked[0].index
        seconds += time.perf_counter() - begin
        painted += int(np.count_nonzero(proposal.classes[index] != volume.truth[index]))
        ink[index] = volume.truth[index]
        touched.append(index)


def as_rows(trace: Sequence[Effort]) -> list[dict[str, Any]]:
    """Plain JSON values."""
    return [asdict(effort) for effort in trace]
