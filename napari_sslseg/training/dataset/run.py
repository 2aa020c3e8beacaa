"""One run on a data set: read, train, validate, log, save, and go on after an interruption.

A run's folder holds ``settings.json``, ``log.csv``, the state to go on from (``state.json`` and its
tensors) and models: ``last``, and ``best`` by mean Dice on the validation list, if there is one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoint import save_model
from ..control import Cancelled, Control
from ..finite import is_finite
from .cases import Case, Loader, Reader, channels_in_words, load_case, load_cases
from .description import Dataset, DatasetError
from .device import find_device
from .fitting import check_fit
from .label_notes import label_notes
from .log import Log, board_writer
from .prediction import build_framework
from .run_folder import (
    BOARD,
    LOG,
    check_folder,
    clear_run,
    held_folder,
    load_run,
    start_folder,
)
from .sampling import PatchSampler, Sampler, SliceSampler
from .settings import Settings, describe_data
from .state import damaged, load_state, save_state
from .trainer import DatasetTrainer
from .validation import mean_dice

__all__ = ["Outcome", "Run", "clear_run", "find_device", "load_run", "train_dataset"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    step
        Steps done.
    finished
        Whether those are all; if not, the same call goes on.
    best
        Best mean Dice on the validation list; None without one.
    seconds
        That this call trained and validated.
    """

    step: int
    finished: bool
    best: float | None
    seconds: float


def train_dataset(
    dataset: Dataset,
    settings: Settings,
    folder: Path,
    reader: Reader,
    device: torch.device,
    control: Control | None = None,
    tell: Callable[[str], None] = lambda line: None,
    seconds: float | None = None,
    board: bool = False,
    load: Loader = load_case,
    fresh: bool = False,
) -> Outcome:
    """Train, or go on with a run that was interrupted.

    Parameters
    ----------
    dataset, settings
        What and how.
    folder
        Of the run; made if it does not exist.
    reader
        Reads files.
    device
        Where to train.
    control
        Pause and cancel.
    tell
        Receives lines for people.
    seconds
        Stop, saved, after this time of training; None runs to the end.
    board
        Write TensorBoard files too.
    load
        Loads cases; a caller with many runs may keep them.
    fresh
        Start anew: a run in `folder` is deleted, its models too, once the data are read and all
        else was found good.

    Raises
    ------
    DatasetError
        With one sentence, for instance when `folder` holds a run with other settings, or one that
        is under way, or when the network is no longer finite.
    Cancelled
        When the user cancels; the state is saved.
    """
    control = control or Control()
    if not dataset.labelled:
        raise DatasetError("The labelled list is empty; name the cases to learn from.")
    for entry in dataset.cases("validation"):
        if entry.labels is None:
            raise DatasetError(
                f"{entry.name} is in the validation list but has no labels{entry.sought}; check "
                "labels under volumes, or take it out."
            )
    check_folder(folder, dataset, settings, fresh)
    if board:
        board_writer()
    build_framework(_about(dataset, settings, channels=1))  # reading all cases may take long
    with held_folder(folder):
        try:
            run = Run(dataset, settings, folder, reader, device, control, tell, board, load, fresh)
        except Cancelled:
            tell(f"Stopped while the cases were read; {folder} is as it was.")
            raise
        return run.execute(seconds)


def _about(dataset: Dataset, settings: Settings, channels: int) -> dict[str, Any]:
    """Return what the JSON of a model says of its network."""
    around = 2 * dataset.context + 1 if dataset.dimensions == 2 else 1
    return {
        "framework": settings.framework,
        "in_channels": channels * around,
        "outputs": dataset.outputs,
        "options": {
            **settings.options,
            "overlapping": dataset.overlapping,
            "network": settings.network,
        },
    }


class Run:
    """A run with its data in memory.

    Parameters
    ----------
    dataset, settings, folder, reader, device, control, tell, board, load, fresh
        As of `train_dataset`; the labelled list must not be empty.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        folder: Path,
        reader: Reader,
        device: torch.device,
        control: Control,
        tell: Callable[[str], None],
        board: bool,
        load: Loader = load_case,
        fresh: bool = False,
    ) -> None:
        self.dataset, self.settings, self.folder = dataset, settings, folder
        self.tell, self.device = tell, device

        def reading(name: str) -> None:
            control.check()

        read = ("labelled", *(["unlabelled"] if settings.unlabelled else []), "validation")
        tell(f"Reading {sum(len(dataset.cases(part)) for part in read)} cases.")
        labelled = load_cases(dataset.cases("labelled"), dataset, reader, True, reading, load)
        unlabelled = []
        if settings.unlabelled:
            entries = dataset.cases("unlabelled")
            unlabelled = load_cases(entries, dataset, reader, False, reading, load)
        self.validation = load_cases(
            dataset.cases("validation"), dataset, reader, True, reading, load
        )
        self.channels = int(labelled[0].image.shape[1])
        self._same_channels([*unlabelled, *self.validation])
        for note in label_notes(labelled, self.validation, dataset):
            tell(f"Note: {note}")
        torch.manual_seed(settings.seed)
        self.sampler = self._make_sampler(labelled, unlabelled)
        self.about = _about(dataset, settings, self.channels)
        framework = build_framework(self.about).to(device)
        check_fit(framework, self.channels, dataset.size)
        self.trainer = DatasetTrainer(framework, settings, device, dataset.size, control)
        self.best: float | None = None
        start_folder(folder, dataset, settings, fresh)
        state = load_state(folder)
        if state is not None:
            self._go_on(state)
            tell(f"Going on after step {self.trainer.step}.")
        self.log = Log(folder / LOG, self.trainer.step, folder / BOARD if board else None)

    def _go_on(self, state: Mapping[str, Any]) -> None:
        try:
            self.trainer.restore(state["trainer"])
            self.sampler.restore(state["sampler"])
            self.best = None if state["best"] is None else float(state["best"])
        except DatasetError:
            raise
        except Exception as error:
            raise damaged(self.folder) from error

    def _make_sampler(self, labelled: list[Case], unlabelled: list[Case]) -> Sampler:
        s = self.settings
        given = (labelled, unlabelled, self.dataset, (s.labelled, s.unlabelled), self.device)
        if self.dataset.dimensions == 3:
            return PatchSampler(*given, s.seed)
        return SliceSampler(*given, s.seed, s.every_class)

    def _same_channels(self, cases: list[Case]) -> None:
        for case in cases:
            if case.image.shape[1] != self.channels:
                raise DatasetError(
                    f"{case.name} has {channels_in_words(case.image.shape[1])} but the labelled "
                    f"cases have {self.channels}; all cases need the same."
                )

    def execute(self, seconds: float | None) -> Outcome:
        """Train to the end, the deadline, or the user's cancel; each way leaves a state.

        Parameters
        ----------
        seconds
            From now to the deadline; None for none.

        Raises
        ------
        DatasetError
            When a loss or the network is no longer finite; the last saved state is kept.
        Cancelled
            When the user cancels.
        OSError
            When the disk does not take what is written.
        """
        try:
            return self._execute(seconds)
        finally:
            self.log.close()

    def _execute(self, seconds: float | None) -> Outcome:
        begin = time.monotonic()
        deadline = None if seconds is None else begin + seconds
        try:
            finished = self.trainer.train(self.sampler, self._logged, self._stepped, deadline)
        except Cancelled:
            self._save()
            self.tell(
                f"Stopped after step {self.trainer.step} of {self.settings.steps}, saved in "
                f"{self.folder}; call the same command, without --fresh, to go on."
            )
            raise
        self._save()
        self.trainer.settle(self.sampler.clean())
        self._keep("last")
        taken = round(time.monotonic() - begin, 2)
        return Outcome(self.trainer.step, finished, self.best, taken)

    def _logged(self, step: int, values: dict[str, float]) -> None:
        if not math.isfinite(values["total"]):
            raise self._diverged("loss")
        self.log.write(step, values)
        self.tell(f"step {step}/{self.settings.steps}: loss {values['total']:.4f}")

    def _stepped(self, step: int) -> None:
        s = self.settings
        if self.validation and (step % s.validate_every == 0 or step == s.steps):
            self._validate(step)
        if step % s.save_every == 0:
            self._save()

    def _diverged(self, what: str) -> DatasetError:
        return DatasetError(
            f"The {what} is not finite at step {self.trainer.step}; lower the learning rate. The "
            "last saved state is kept."
        )

    def _validate(self, step: int) -> None:
        if not is_finite(self.trainer.state()):
            raise self._diverged("network")
        self.trainer.settle(self.sampler.clean())
        # Not to be cancelled: a state saved in between would lack this score for ever.
        bfloat16 = self.trainer.plan.bfloat16
        scores = [
            mean_dice(self.trainer.predictor, case, self.dataset, self.device, bfloat16)
            for case in self.validation
        ]
        mean = float(np.mean(scores))
        self.log.write(step, {"validation_dice": mean})
        self.tell(f"step {step}: mean Dice {mean:.4f} on the validation list")
        if self.best is None or mean > self.best:
            self.best = mean
            self._keep("best")

    def _keep(self, name: str) -> None:
        memory = {
            "data": describe_data(self.dataset, self.channels),
            "step": self.trainer.step,
            "preset": self.settings.preset,
            "precision": self.settings.precision,
        }
        save_model(self.folder / name, self.trainer.predictor, self.about, memory)

    def _save(self) -> None:
        tree = {
            "trainer": self.trainer.state(),
            "sampler": self.sampler.state(),
            "best": self.best,
        }
        # Between two lines of the log, too: what cannot go on must not replace what can.
        if not is_finite(tree):
            raise self._diverged("network")
        save_state(self.folder, self.trainer.step, tree)
