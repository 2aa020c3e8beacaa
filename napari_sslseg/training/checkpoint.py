"""Models on disk: safetensors for the weights, JSON for what they are. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .. import __version__
from ..volume.replacing import read_text, replace_text, replacing
from .finite import is_finite
from .model_head import is_sound


def save_model(
    folder: Path, model: nn.Module, about: dict[str, Any], memory: dict[str, Any] | None = None
) -> None:
    """Write a model; the one before stays whole until this one is.

    Parameters
    ----------
    folder : Path
        ``models`` of a project.
    model : nn.Module
    about : dict
        JSON values that tell whether the model fits a later run.
    memory : dict, optional
        Further JSON values for `read_head`.
    """
    folder.mkdir(exist_ok=True)  # within a project, which is not made anew where it was moved
    state = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    number = 1 + max((_number(p) for p in folder.glob("model-*.safetensors")), default=0)
    weights = folder / f"model-{number:06d}.safetensors"
    with replacing(weights) as part:
        save_file(state, part)
    head = {**about, **(memory or {}), "version": __version__, "weights": weights.name}
    replace_text(folder / "model.json", json.dumps(head, indent=1))
    for old in folder.glob("model-*.safetensors"):
        if _number(old) < number:
            old.unlink(missing_ok=True)


def read_head(folder: Path) -> dict[str, Any]:
    """Return what was saved about the last model; empty when there is none, or nonsense.

    `folder` is that of `save_model`; what makes a head nonsense is said in `model_head`.
    """
    try:
        head = json.loads(read_text(folder / "model.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return head if isinstance(head, dict) and is_sound(head) else {}


def fits(head: dict[str, Any], about: dict[str, Any]) -> bool:
    """Whether the head of a model says what a run wants of it: each item of `about`, alike."""
    return all(head.get(key) == value for key, value in about.items())


def load_model(folder: Path, model: nn.Module, about: dict[str, Any]) -> bool:
    """Load the last model into `model` when it fits; else leave `model` as it is.

    Parameters
    ----------
    folder : Path
        That of `save_model`.
    model : nn.Module
        Changed in place.
    about : dict
        JSON values that its head must have.

    Returns
    -------
    bool
        False when there is none, it is damaged, `about` differs (other classes, say), or its
        weights have other names or shapes, or are not finite.
    """
    try:
        head = read_head(folder)
        if not head or not fits(head, about):
            return False
        weights = load_file(folder / str(head["weights"]))
        # Torch copies whatever fits before it says that something does not.
        if _shapes(weights) != _shapes(model.state_dict()) or not is_finite(weights):
            return False
        model.load_state_dict(weights)
    except Exception:
        # Whatever is wrong with an old model, training can start without it.
        return False
    return True


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _number(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0
