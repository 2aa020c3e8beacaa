"""Tensors in one file with what they were made from, for a later run to take over. No pickle."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import __version__
from ..volume.project import Project
from ..volume.replacing import replacing
from .stack import SliceStack

#: Bytes that stay free on the disk: what is kept here saves seconds, strokes need their room.
ROOM = 2**30

_ABOUT = "about"

T = TypeVar("T")


def volume_facts(project: Project, stack: SliceStack) -> dict[str, Any]:
    """Return, as JSON values, all that results depend on but ink and networks.

    Parameters
    ----------
    project : Project
    stack : SliceStack
    """
    return {
        "version": __version__,
        "image": project.info.digest,
        "shape": list(stack.ink.shape),
        "axis": stack.axis,
        "spacing": list(stack.spacing),
        "class_ids": list(stack.class_ids),
        "outside": list(stack.outside),
    }


def keep(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors; where the disk has no room to spare, there are none to take over.

    Parameters
    ----------
    path : Path
        In a folder that exists, or can be made in one that does.
    tensors : dict of str to Tensor
    about : dict
        JSON values, for `take_over`.
    """
    with contextlib.suppress(OSError, SafetensorError):
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if shutil.disk_usage(path.parent.parent).free < size + ROOM:
            return
        path.parent.mkdir(exist_ok=True)  # within a project, which is not made anew once moved
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        with replacing(path) as part:
            save_file(whole, part, {_ABOUT: json.dumps(about)})


def take_over(
    path: Path, about: dict[str, Any], build: Callable[[dict[str, Tensor], dict[str, Any]], T]
) -> T | None:
    """Read what `keep` has written, if it was made from the same.

    Parameters
    ----------
    path : Path
    about : dict
        JSON values that must have been kept with it, alike.
    build : callable
        Is given the tensors, and all that was kept with them.

    Returns
    -------
    What `build` returns; None where there is no such file, something is wrong with it, or `about`
    differs.
    """
    try:
        with safe_open(path, "pt") as file:
            known = json.loads(file.metadata()[_ABOUT])
            if any(known.get(key) != value for key, value in about.items()):
                return None
            return build({name: file.get_tensor(name) for name in file.keys()}, known)  # noqa: SIM118
    except Exception:
        # Whatever is wrong with it, all of it can be made anew.
        return None


@dataclass(frozen=True)
class Part:
    """The rows and columns of the slices that are not background for sure in all of them.

    Parameters
    ----------
    top, bottom, left, right : int
        The first row and column, and those behind the last.
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, background: Tensor) -> Part:
        """Return the smallest one that holds all of it, at least one pixel.

        Parameters
        ----------
        background : Tensor, (Z, H, W)
            Probability of the background.
        """
        found = (background != 1).any(0)
        if not bool(found.any()):
            return cls(0, 1, 0, 1)
        rows, columns = (torch.nonzero(found.any(axis)).flatten() for axis in (1, 0))
        return cls(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)

    def cut(self, volume: Tensor) -> Tensor:
        """Cut it out of (..., H, W); a view."""
        return volume[..., self.top : self.bottom, self.left : self.right]

    def back(self, part: Tensor, shape: tuple[int, ...], outside: float = 0.0) -> Tensor:
        """Return a part within a volume of a shape, with one value outside."""
        whole = torch.full(shape, outside, dtype=part.dtype)
        self.cut(whole)[:] = part
        return whole

    def probabilities(self, part: Tensor, height: int, width: int) -> Tensor:
        """Return probabilities (Z, K, ...) of a part within slices of (height, width)."""
        whole = self.back(part, (*part.shape[:2], height, width))
        outside = torch.ones(height, width, dtype=torch.bool)
        self.cut(outside)[:] = False
        whole[:, 0, outside] = 1
        return whole
