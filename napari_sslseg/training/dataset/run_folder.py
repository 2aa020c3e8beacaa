"""The folder of a run: whose it is, what it keeps, and the models in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import load_model, read_head
from .description import Dataset, DatasetError
from .prediction import build_framework
from .settings import Settings, describe_data
from .state import HEAD

SETTINGS = "settings.json"


def claim_folder(folder: Path, dataset: Dataset, settings: Settings) -> None:
    """Write the settings of a new run; refuse a folder that has others.

    Raises
    ------
    DatasetError
        When the folder holds another run, or its settings are damaged.
    """
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
        before.get("data", {}).setdefault("middle", 1.0)  # runs of before that key
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
