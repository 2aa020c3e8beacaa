"""The matching of the last run, so that an update matches only what newer ink changes.

All stretches between references depend on all of the ink in what it tells of the looks of a class.
On hearts that were given a fourth, fifth and sixth reference, stretches that were taken over cost
.002 to .009 of Dice, on a left atrium and a hippocampus nothing. So nothing is taken over where
matching is a matter of moments.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..methods.propagation import Propagation, Renewal
from ..volume.project import Project
from .kept_tensors import Part, keep, take_over, volume_facts
from .stack import SliceStack

#: Seconds that matching anew may take.
MOMENTS = 3.0


class KeptMatching:
    """What was propagated from a volume's references, on the disk.

    Parameters
    ----------
    project : Project
    stack : SliceStack
        The volume with its ink as it is now.
    """

    def __init__(self, project: Project, stack: SliceStack) -> None:
        self._stack = stack
        self._path = project.kept / "matching.safetensors"
        self._facts = volume_facts(project, stack)

    def keep(self, propagated: Propagation, seconds: float) -> None:
        """Keep what was propagated from the ink as it is now, in half precision.

        Parameters
        ----------
        propagated : Propagation
        seconds : float
            What matching all of it took; where that was soon done, nothing is kept.
        """
        if seconds <= MOMENTS:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)  # of older ink
            return
        part = Part.of(propagated.probabilities[:, 0])
        tensors = {
            "probabilities": part.cut(propagated.probabilities).half(),
            "agreement": part.cut(propagated.agreement).half(),
            "farther": part.cut(propagated.farther),
        }
        about = {
            **self._facts,
            "part": asdict(part),
            "ink": self._ink(),
            "seconds": seconds,
            "inked_slices": propagated.inked_slices,
            "empty_ends": propagated.empty_ends,
        }
        keep(self._path, tensors, about)

    def renewal(self) -> tuple[Renewal, float] | None:
        """Return what of it holds still, and what matching all of it took; None without any."""
        return take_over(self._path, self._facts, self._renewal)

    def _renewal(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> tuple[Renewal, float]:
        height, width = self._stack.ink.shape[1:]
        part = Part(**about["part"])
        volume = tuple(self._stack.ink.shape)
        previous = Propagation(
            part.probabilities(tensors["probabilities"].float(), height, width),
            part.back(tensors["agreement"].float(), volume, outside=1.0),
            part.back(tensors["farther"], volume),
            list(about["inked_slices"]),
            list(about["empty_ends"]),
        )
        now = self._ink()
        changed = [z for z, then in enumerate(about["ink"]) if then != now[z]]
        return Renewal(previous, changed), float(about["seconds"])

    def _ink(self) -> list[str]:
        """Return a hash of the ink of each slice."""
        ink = self._stack.ink.cpu().to(torch.uint8).contiguous().numpy()
        return [hashlib.blake2b(each.data, digest_size=16).hexdigest() for each in ink]
