"""The state of an interrupted run on disk: tensors in safetensors, the rest in JSON. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...volume.replacing import replace_text, replacing
from ..finite import is_finite
from .description import DatasetError

HEAD = "state.json"


def flatten(prefix: str, tree: Any, tensors: dict[str, Tensor]) -> Any:
    """Move the tensors of nested dicts and lists into `tensors`; return what remains.

    A tensor is replaced by ``{"tensor": key}``. Keys of dicts become strings, tuples lists.

    Parameters
    ----------
    prefix
        What the keys of the tensors begin with.
    tree
        Dicts, lists and tuples, tensors, and JSON values.
    tensors
        Receives copies, on the CPU.
    """
    if isinstance(tree, Tensor):
        # One file must not hold two views of the same memory.
        tensors[prefix] = tree.detach().cpu().contiguous().clone()
        return {"tensor": prefix}
    if isinstance(tree, Mapping):
        return {str(k): flatten(f"{prefix}.{k}", v, tensors) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [flatten(f"{prefix}.{i}", v, tensors) for i, v in enumerate(tree)]
    return tree


def restore(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `flatten`; keys that are whole numbers become so again, tuples stay lists.

    Raises
    ------
    KeyError
        When a tensor is missing.
    """
    if isinstance(tree, Mapping):
        if set(tree) == {"tensor"}:
            return tensors[tree["tensor"]]
        return {int(k) if k.isdigit() else k: restore(v, tensors) for k, v in tree.items()}
    if isinstance(tree, list):
        return [restore(v, tensors) for v in tree]
    return tree


def save_state(folder: Path, step: int, tree: Mapping[str, Any]) -> None:
    """Write a state; the one before stays whole until this one is.

    Parameters
    ----------
    folder
        Of the run.
    step
        Of the state, for its file name.
    tree
        Nested dicts and lists of tensors and JSON values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    rest = flatten("state", tree, tensors)
    name = f"state-{step:08d}.safetensors"
    with replacing(folder / name) as part:
        save_file(tensors, part)
    replace_text(folder / HEAD, json.dumps({"tensors": name, "rest": rest}, indent=1))
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Read the last state of a run; None when there is none.

    Returns
    -------
    dict or None
        As `save_state` was given it, but for what `restore` says; tensors on the CPU.

    Raises
    ------
    DatasetError
        When it is damaged, or holds numbers that are not finite.
    """
    path = folder / HEAD
    if not path.exists():
        return None
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        tree = restore(head["rest"], load_file(folder / head["tensors"]))
    except Exception as error:
        raise damaged(folder) from error
    if not isinstance(tree, dict) or not is_finite(tree):
        raise damaged(folder)
    return tree


def damaged(folder: Path) -> DatasetError:
    """Return, not raise, the error of a state that cannot be gone on from."""
    return DatasetError(
        f"The saved state in {folder} is damaged; start anew in another folder, or with --fresh."
    )


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states, uint8 on the CPU, of torch's own generators, which dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Take over what `random_states` returned; that of another device is left out.

    Raises
    ------
    KeyError
        When there is none of the CPU.
    """
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
