"""The folder of a run: whose it is, what it keeps, and the models in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...volume.replacing import replace_text
from ..checkpoint import load_model, read_head
from ..project_locking import hold, unlock_project
from .description import Dataset, DatasetError
from .prediction import build_framework
from .settings import Settings, alike, describe_data
from .state import HEAD

SETTINGS = "settings.json"
LOG = "log.csv"
BOARD = "tensorboard"
MODELS = ("best", "last")

#: Held by the run that is under way; the system lets go of it however that ends.
LOCK = "run.lock"

#: What the JSON of a model has to tell for a prediction.
_HEAD = {"framework", "in_channels", "outputs", "options", "data", "precision", "step"}

#: What its ``data`` have to tell.
_DATA = {"classes", "channels", "overlapping", "axis", "dimensions", "size", "middle", "context"}

#: All that a run writes but its settings, which tell that the rest is a run's.
FILES = (
    *(LOG, f"{LOG}.part", HEAD, f"{HEAD}.part", "state-*.safetensors", "state-*.safetensors.part"),
    *(f"{model}/{name}" for model in MODELS for name in ("model.json*", "model-*.safetensors*")),
    f"{BOARD}/events.out.tfevents.*",
)


def check_folder(folder: Path, dataset: Dataset, settings: Settings, fresh: bool) -> None:
    """Refuse a folder that a run cannot have; nothing is written or deleted.

    Parameters
    ----------
    folder
        Of the run; need not exist.
    dataset, settings
        Of the run.
    fresh
        Whether a run that is there will be deleted, so that it may be another one.

    Raises
    ------
    DatasetError
        When the folder holds another run, files of the same names that are no run's, or settings
        that are damaged.
    """
    before = _settings_of(folder)
    if before is None or fresh:
        return
    for part, values in _content(dataset, settings).items():
        for key, value in values.items():
            kept = before[part].get(key)
            if not alike(key, kept, value):
                held = f"with {key.replace('_', ' ')} other than described"
                if isinstance(value, int | float | str):
                    held += f" ({kept}, not {value})"
                if key == "settings_version":
                    held = "of another version of napari-sslseg"
                raise DatasetError(
                    f"{folder} holds a run {held}; use another folder, or --fresh to start anew."
                )


def start_folder(folder: Path, dataset: Dataset, settings: Settings, fresh: bool) -> None:
    """Make a folder that `check_folder` let pass that of the run.

    Parameters
    ----------
    folder
        Of the run; made if it does not exist.
    dataset, settings
        Of the run; written to ``settings.json`` unless they are there already.
    fresh
        Whether the files of a run that is there are deleted first.

    Raises
    ------
    DatasetError
        As `check_folder`.
    """
    check_folder(folder, dataset, settings, fresh)
    if fresh:
        clear_run(folder)
    if not (folder / SETTINGS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / SETTINGS, json.dumps(_content(dataset, settings), indent=1))


@contextlib.contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold the folder of a run against another run in it; one that stays empty goes again.

    Parameters
    ----------
    folder
        Made if it does not exist.

    Raises
    ------
    DatasetError
        When another run holds it.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    refusal = DatasetError(
        f"Another run is under way in {folder}; wait until it ends, or use another folder."
    )
    lock = hold(folder / LOCK, refusal)
    try:
        yield
    finally:
        # While it is held: who finds none makes another.
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)
        if lock is not None:
            unlock_project(lock)
        if made:
            with contextlib.suppress(OSError):  # the run has begun
                folder.rmdir()


def clear_run(folder: Path) -> None:
    """Delete all files of a run, and no others, so that it starts anew; a folder without is left.

    Raises
    ------
    DatasetError
        When such files are there that are no run's, or its settings are damaged; all are left then.
    OSError
        When one cannot be deleted.
    """
    if _settings_of(folder) is None:
        return
    for pattern in FILES:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for name in (*MODELS, BOARD):
        with contextlib.suppress(OSError):  # not there, or somebody's files are in it
            (folder / name).rmdir()
    # Last: what is left after an interruption can still be told for a run's.
    (folder / SETTINGS).unlink(missing_ok=True)


def _settings_of(folder: Path) -> dict[str, Any] | None:
    """Return the settings of the run in a folder; None when it holds nothing like a run."""
    path = folder / SETTINGS
    if not path.exists():
        if found := sorted(p for pattern in FILES for p in folder.glob(pattern)):
            raise DatasetError(
                f"{folder} holds {found[0].relative_to(folder)} but no settings of a run; use "
                "another folder."
            )
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is damaged; use another folder.") from error
    held = content if isinstance(content, dict) else {}
    data, training = held.get("data"), held.get("training")
    if not isinstance(data, dict) or not isinstance(training, dict) or "preset" not in training:
        raise DatasetError(f"{path} does not belong to a run; use another folder.")
    return held


def _content(dataset: Dataset, settings: Settings) -> dict[str, dict[str, Any]]:
    return {
        "data": {
            **{k: v for k, v in describe_data(dataset, 0).items() if k != "channels"},
            "labelled": list(dataset.labelled),
            "unlabelled": list(dataset.unlabelled),
            "validation": list(dataset.validation),
        },
        "training": json.loads(json.dumps(settings.to_json())),
    }


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
    if not head.keys() >= _HEAD or not head["data"].keys() >= _DATA:
        raise DatasetError(f"The {which} model in {folder} is damaged; train again.")
    model = build_framework(head)
    about = {key: head[key] for key in ("framework", "in_channels", "outputs")}
    if not load_model(place, model, about):
        raise DatasetError(f"The {which} model in {folder} is damaged; train again.")
    return model.to(device).eval(), head
