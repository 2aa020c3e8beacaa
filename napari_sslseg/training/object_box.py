"""Where an object lies in a volume, and how places in two volumes correspond."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..methods.propagation import Propagation
from .stack import SliceStack, View


@dataclass(frozen=True)
class ObjectBox:
    """First and last index of an object along slices, rows and columns."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @classmethod
    def around(cls, present: Iterable[Tensor]) -> ObjectBox | None:
        """Return the box of the object, given where it is in each slice, (H, W) bool, or None."""
        slices: list[int] = []
        rows: list[int] = []
        columns: list[int] = []
        for z, mask in enumerate(present):
            if bool(mask.any()):
                slices.append(z)
                for line, found in ((mask.any(1), rows), (mask.any(0), columns)):
                    where = torch.nonzero(line).flatten()
                    found += [int(where[0]), int(where[-1])]
        if not slices:
            return None
        return cls((slices[0], min(rows), min(columns)), (slices[-1], max(rows), max(columns)))

    @classmethod
    def of_volume(cls, stack: SliceStack) -> ObjectBox:
        """Return the box of the whole volume that a stack shows, or shows a part of.

        In indices of the stack: of a part, rows and columns of the volume may be negative.
        """
        view = _view(stack)
        top, left = view.rows.start, view.columns.start
        high = (stack.depth - 1, view.height - 1 - top, view.width - 1 - left)
        return cls((0, -top, -left), high)

    def middle(self, axis: int) -> float:
        """Return the middle along slices (0), rows (1) or columns (2); it may lie between two."""
        return (self.low[axis] + self.high[axis]) / 2


def foreground(propagated: Propagation) -> Tensor:
    """Largest probability (1, H, W) float32, over the slices, of anything but background."""
    background = propagated.probabilities[0, 0].float()
    for slice_ in propagated.probabilities:
        background = torch.minimum(background, slice_[0].float())
    return 1 - background[None]


def aligned_positions(
    z: int, size: tuple[int, int], there: ObjectBox, own: ObjectBox, stack: SliceStack
) -> Tensor:
    """Position channels (3, H, W) of a slice as they are at the same place of the own object.

    Along the slices the objects' ends fall together, or their middles if the other one is known in
    one slice only; in the slice their middles: there pixels have one size, and the ends of an
    object in few slices say little.

    Parameters
    ----------
    z : int
        Index of the slice in its volume.
    size : tuple of int
        Height and width of the slice, with pixels as large as those of `stack`.
    there, own : ObjectBox
        The object in the slice's volume, and in `stack`.
    stack : SliceStack
        The own volume, or a part of it.

    Returns
    -------
    Tensor
        Float32, from -1 to 1 over the whole of the own volume; places may lie outside of it.
    """
    reach = there.high[0] - there.low[0]
    if reach:
        along = (z - there.low[0]) / reach * (own.high[0] - own.low[0]) + own.low[0]
    else:  # a single slice tells no ends: it is like the middle of the own object
        along = z - there.low[0] + own.middle(0)
    view = _view(stack)
    lines = []
    for i, n, first, whole in (
        (1, size[0], view.rows.start, view.height),
        (2, size[1], view.columns.start, view.width),
    ):
        place = torch.arange(n) - there.middle(i) + own.middle(i) + first
        lines.append(2 * place / max(whole - 1, 1) - 1)
    depth = torch.tensor(2 * along / max(stack.depth - 1, 1) - 1)
    positions = (depth.expand(size), lines[0][:, None].expand(size), lines[1].expand(size))
    return torch.stack(positions).float()


def _view(stack: SliceStack) -> View:
    return stack.view or View(slice(0, None), slice(0, None), *stack.image.shape[-2:])
