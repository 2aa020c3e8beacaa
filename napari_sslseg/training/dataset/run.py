"""One run on a data set: read, train, validate, log, save, and go on after an interruption.

A run's folder holds ``settings.json``, ``log.csv``, the state to go on from (``state.json`` and its
tensors) and models: ``last``, and ``best`` by mean Dice on the validation list, if there is one.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...volume.annotation import NOT_ANNOTATED
from ..checkpoint import load_model, read_head, save_model
from ..control import Cancelled, Control
from ..plan import choose_device
from ..request import DEVICES
from ..stack import TrainingError
from .cases import Case, Loader, Reader, load_case, load_cases
from .description import Dataset, DatasetError
from .log import Log
from .prediction import build_framework, predict_case
from .sampling import PatchSampler, SliceSampler
from .settings import Settings, describe_data
from .state import HEAD, load_state, save_state
from .trainer import DatasetTrainer

SETTINGS = "settings.json"


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


def find_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    DatasetError
        When it is not there.
    """
    if name not in DEVICES:
        raise DatasetError(f"There is no device {name!r}; there are {', '.join(DEVICES)}.")
    try:
        return choose_device(name)
    except TrainingError as error:
        raise DatasetError(str(error)) from error


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

    Raises
    ------
    DatasetError
        With one sentence, for instance when `folder` holds a run with other settings.
    Cancelled
        When the user cancels; the state is saved.
    """
    control = control or Control()
    if not dataset.labelled:
        raise DatasetError("The labelled list is empty; name the cases to learn from.")
    _claim(folder, dataset, settings)
    run = Run(dataset, settings, folder, reader, device, control, tell, board, load)
    return run.execute(seconds)


def _claim(folder: Path, dataset: Dataset, settings: Settings) -> None:
    """Write the settings of a new run; refuse a folder that has others."""
    content = {
        "data": {
            **{k: v for k, v in describe_data(dataset, 0).items() if k != "channels"},
            "labelled": list(dataset.labelled),
            "unlabelled": list(dataset.unlabelled),
            "validation": list(dataset.validation),
        },
        "training": json.loads(json.dumps(settings.to_json())),
    }
    path = folder / SETTINGS
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} is damaged; use another folder.") from error
        for part, values in content.items():
            for key, value in values.items():
                if before.get(part, {}).get(key) != value:
                    raise DatasetError(
                        f"{folder} holds a run with another {key.replace('_', ' ')}; use another "
                        "folder, or --fresh to start anew."
                    )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def clear_run(folder: Path) -> None:
    """Delete the state, log and settings of a run, so that it starts anew."""
    for path in (*folder.glob("state-*.safetensors"), folder / HEAD, folder / SETTINGS):
        path.unlink(missing_ok=True)
    (folder / "log.csv").unlink(missing_ok=True)


class Run:
    """A run with its data in memory; see `train_dataset`."""

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
    ) -> None:
        self.dataset, self.settings, self.folder = dataset, settings, folder
        self.control, self.tell, self.device = control, tell, device

        def reading(name: str) -> None:
            control.check()

        count = sum(len(dataset.cases(p)) for p in ("labelled", "unlabelled", "validation"))
        tell(f"Reading {count} cases.")
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
        torch.manual_seed(settings.seed)
        kind = SliceSampler if dataset.dimensions == 2 else PatchSampler
        batch = (settings.labelled, settings.unlabelled)
        self.sampler = kind(labelled, unlabelled, dataset, batch, device, settings.seed)
        around = 2 * dataset.context + 1 if dataset.dimensions == 2 else 1
        self.about: dict[str, Any] = {
            "framework": settings.framework,
            "in_channels": self.channels * around,
            "outputs": dataset.outputs,
            "options": {
                **settings.options,
                "overlapping": dataset.overlapping,
                "network": settings.network,
            },
        }
        try:
            framework = build_framework(self.about).to(device)
        except (ValueError, ImportError) as error:
            message = str(error)
            raise DatasetError(f"{message[0].upper()}{message[1:]}.") from error
        self.trainer = DatasetTrainer(framework, settings, device, dataset.size, control)
        self.best: float | None = None
        state = load_state(folder)
        if state is not None:
            self.trainer.restore(state["trainer"])
            self.sampler.restore(state["sampler"])
            self.best = state["best"]
            tell(f"Going on after step {self.trainer.step}.")
        self.log = Log(
            folder / "log.csv", self.trainer.step, folder / "tensorboard" if board else None
        )

    def _same_channels(self, cases: list[Case]) -> None:
        for case in cases:
            if case.image.shape[1] != self.channels:
                raise DatasetError(
                    f"{case.name} has {case.image.shape[1]} channels; the labelled cases have "
                    f"{self.channels}."
                )

    def execute(self, seconds: float | None) -> Outcome:
        """Train to the end, the deadline, or the user's cancel; each way leaves a state."""
        begin = time.monotonic()
        deadline = None if seconds is None else begin + seconds
        try:
            finished = self.trainer.train(self.sampler, self._logged, self._stepped, deadline)
        except Cancelled:
            self._save()
            raise
        self._save()
        self._keep("last")
        taken = round(time.monotonic() - begin, 2)
        return Outcome(self.trainer.step, finished, self.best, taken)

    def _logged(self, step: int, values: dict[str, float]) -> None:
        if not math.isfinite(values["total"]):
            raise DatasetError(
                f"The loss is not finite at step {step}; lower the learning rate. The last saved "
                "state is kept."
            )
        self.log.write(step, values)
        self.tell(f"step {step}/{self.settings.steps}: loss {values['total']:.4f}")

    def _stepped(self, step: int) -> None:
        s = self.settings
        if self.validation and (step % s.validate_every == 0 or step == s.steps):
            self._validate(step)
        if step % s.save_every == 0:
            self._save()

    def _validate(self, step: int) -> None:
        scores = [self._dice(case) for case in self.validation if case.target is not None]
        if not scores:
            return
        mean = float(np.mean(scores))
        self.log.write(step, {"validation_dice": mean})
        self.tell(f"step {step}: mean Dice {mean:.4f} on the validation list")
        if self.best is None or mean > self.best:
            self.best = mean
            self._keep("best")

    def _dice(self, case: Case) -> float:
        """Mean Dice over the classes of a case, at the size that training sees.

        Not to be cancelled: a state saved in between would lack this score for ever.
        """
        assert case.target is not None
        small = Case(
            case.name,
            case.image,
            case.target,
            (int(case.image.shape[-2]), int(case.image.shape[-1])),
            case.spacing,
            case.flat,
        )
        predicted = torch.from_numpy(
            predict_case(
                self.trainer.predictor,
                small,
                self.dataset,
                self.device,
                self.trainer.plan.bfloat16,
            )
        )
        known = case.target != NOT_ANNOTATED
        found = []
        for k in range(len(self.dataset.classes)):
            if self.dataset.overlapping:
                p, t = predicted[:, k] == 1, case.target[:, k] == 1
                p = p & known[:, k]
            else:
                p, t = (predicted == k + 1) & known, case.target == k + 1
            both = int(p.sum()) + int(t.sum())
            found.append(2 * int((p & t).sum()) / both if both else 1.0)
        return float(np.mean(found))

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
        save_state(self.folder, self.trainer.step, tree)


def load_run(folder: Path, which: str, device: torch.device) -> tuple[Any, Mapping[str, Any]]:
    """Load a trained model.

    Parameters
    ----------
    folder
        Of the run.
    which
        ``"best"`` or ``"last"``.
    device
        To predict on.

    Returns
    -------
    model, head
        The framework, and what its JSON says.

    Raises
    ------
    DatasetError
        When there is none.
    """
    place = folder / which
    head = read_head(place)
    if not head:
        raise DatasetError(f"{folder} holds no {which} model; train first.")
    model = build_framework(head)
    about = {key: head[key] for key in ("framework", "in_channels", "outputs")}
    if not load_model(place, model, about):
        raise DatasetError(f"The {which} model in {folder} is damaged; train again.")
    return model.to(device).eval(), head
