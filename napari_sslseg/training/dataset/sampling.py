"""Batches of slices or patches in an order that can be saved and taken up again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...methods.frameworks.base import Batch
from ...volume.annotation import NOT_ANNOTATED
from .cases import Case
from .description import Dataset, DatasetError

#: Bytes of images up to which they are kept on the device that trains.
RESIDENT = 16 * 2**30


class Cycle:
    """Runs through shuffled numbers again and again, each time in a new order.

    Parameters
    ----------
    count
        How many numbers, from 0.
    generator
        Source of the orders, on the CPU; shared with whatever else draws.
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._generator = generator
        self._order = torch.arange(count)
        self._position = count  # the first order is drawn when it is needed

    def take(self, number: int) -> Tensor:
        """Return the next numbers, int64."""
        count = self._order.numel()
        if count == 0 or number == 0:
            return torch.empty(0, dtype=torch.int64)
        parts = []
        while number > 0:
            if self._position == count:
                self._order = torch.randperm(count, generator=self._generator)
                self._position = 0
            part = self._order[self._position : self._position + number]
            parts.append(part)
            self._position += part.numel()
            number -= part.numel()
        return torch.cat(parts)

    def state(self) -> dict[str, Tensor]:
        """Return order and place in it."""
        return {"order": self._order.clone(), "position": torch.tensor(self._position)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on as where `state` was taken."""
        self._order, self._position = state["order"].clone(), int(state["position"])


class _Sampler:
    """The two cycles that both kinds of samplers have."""

    def __init__(self, labelled: int, unlabelled: int, batch: tuple[int, int], seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._batch = batch
        self._cycles = {
            "labelled": Cycle(labelled, self._generator),
            "unlabelled": Cycle(unlabelled, self._generator),
        }

    def state(self) -> dict[str, Tensor]:
        """Return all that the next batches depend on."""
        state = {
            f"{name}.{key}": value
            for name, cycle in self._cycles.items()
            for key, value in cycle.state().items()
        }
        return {**state, "generator": self._generator.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on as where `state` was taken."""
        for name, cycle in self._cycles.items():
            cycle.restore({key: state[f"{name}.{key}"] for key in ("order", "position")})
        self._generator.set_state(state["generator"])


class SliceSampler(_Sampler):
    """Draws slices.

    Slices without any annotation are left out of the labelled stream, those with gaps in it (such
    as scribbles) are in the unlabelled one too.

    Parameters
    ----------
    labelled, unlabelled
        Cases.
    dataset
        For the slices in context.
    batch
        Labelled and unlabelled images in a batch.
    device
        Where batches go; the images stay there if they fit.
    seed
        Of the order.
    """

    def __init__(
        self,
        labelled: list[Case],
        unlabelled: list[Case],
        dataset: Dataset,
        batch: tuple[int, int],
        device: torch.device,
        seed: int,
    ) -> None:
        self._device = device
        self._around = torch.arange(-dataset.context, dataset.context + 1)
        cases = [*labelled, *unlabelled]
        size = sum(c.image.numel() * 4 for c in cases)
        place = device if size <= RESIDENT else torch.device("cpu")
        self._images = torch.cat([c.image for c in cases]).to(place)
        lengths = torch.tensor([c.image.shape[0] for c in cases])
        ends = lengths.cumsum(0)
        self._first = (ends - lengths).repeat_interleave(lengths)
        self._last = (ends - 1).repeat_interleave(lengths)
        targets = [c.target for c in labelled if c.target is not None]
        self._targets = torch.cat(targets).to(place)
        known = (self._targets != NOT_ANNOTATED).flatten(1).cpu()
        self._labelled = torch.nonzero(known.any(1)).flatten()
        gaps = torch.nonzero(~known.all(1)).flatten()
        others = torch.arange(len(self._targets), len(self._first))
        self._unlabelled = torch.cat([gaps, others])
        if len(self._labelled) == 0:
            raise DatasetError("No pixel of the labelled cases is annotated.")
        super().__init__(len(self._labelled), len(self._unlabelled), batch, seed)

    def draw(self) -> Batch:
        """Return the next batch."""
        labelled = self._labelled[self._cycles["labelled"].take(self._batch[0])]
        unlabelled = self._unlabelled[self._cycles["unlabelled"].take(self._batch[1])]
        target = self._targets[_send(labelled, self._targets.device)]
        return Batch(self._context(labelled), target.to(self._device), self._context(unlabelled))

    def _context(self, slices: Tensor) -> Tensor:
        index = slices[:, None] + self._around[None]
        index = torch.minimum(index.clamp_min(0), self._last[slices][:, None])
        index = torch.maximum(index, self._first[slices][:, None])
        return self._images[_send(index, self._images.device)].flatten(1, 2).to(self._device)


def _send(index: Tensor, device: torch.device) -> Tensor:
    """Move indices to a device without waiting for what it computes."""
    if device.type != "cuda":
        return index.to(device)
    return index.pin_memory().to(device, non_blocking=True)


class PatchSampler(_Sampler):
    """Draws patches at random places of volumes; parameters as of `SliceSampler`."""

    def __init__(
        self,
        labelled: list[Case],
        unlabelled: list[Case],
        dataset: Dataset,
        batch: tuple[int, int],
        device: torch.device,
        seed: int,
    ) -> None:
        self._device, self._size = device, dataset.size
        size = sum(c.image.numel() * 4 for c in [*labelled, *unlabelled])
        place = device if size <= RESIDENT else torch.device("cpu")

        def volume(case: Case) -> Tensor:
            return case.image.transpose(0, 1).contiguous().to(place)

        def target(case: Case) -> Tensor:
            assert case.target is not None
            known = case.target
            return (known.transpose(0, 1) if known.ndim == 4 else known).contiguous().to(place)

        self._labelled = [(volume(c), target(c)) for c in labelled]
        self._unlabelled = [volume(c) for c in unlabelled]
        for image, known in self._labelled:
            if (known == NOT_ANNOTATED).any():
                self._unlabelled.append(image)
        if all((known == NOT_ANNOTATED).all() for _, known in self._labelled):
            raise DatasetError("No voxel of the labelled cases is annotated.")
        super().__init__(len(self._labelled), len(self._unlabelled), batch, seed)

    def draw(self) -> Batch:
        """Return the next batch."""
        images, targets = [], []
        for i in self._cycles["labelled"].take(self._batch[0]).tolist():
            image, target = self._labelled[i]
            corner = self._corner(image)
            images.append(self._cut(image, corner))
            maps = target if target.ndim == 4 else target[None]
            cut = self._cut(maps, corner, NOT_ANNOTATED)
            targets.append(cut if target.ndim == 4 else cut[0])
        others = [
            self._cut(self._unlabelled[i], self._corner(self._unlabelled[i]))
            for i in self._cycles["unlabelled"].take(self._batch[1]).tolist()
        ]
        labelled = torch.stack(images).to(self._device)
        empty = labelled.new_zeros(0, *labelled.shape[1:])
        unlabelled = torch.stack(others).to(self._device) if others else empty
        return Batch(labelled, torch.stack(targets).to(self._device), unlabelled)

    def _corner(self, volume: Tensor) -> list[int]:
        room = [max(0, n - s) for n, s in zip(volume.shape[1:], self._size, strict=True)]
        return [int(torch.randint(r + 1, (1,), generator=self._generator)) for r in room]

    def _cut(self, maps: Tensor, corner: list[int], outside: int | None = None) -> Tensor:
        window = (slice(a, a + n) for a, n in zip(corner, self._size, strict=True))
        piece = maps[(slice(None), *window)]
        missing = [n - m for n, m in zip(self._size, piece.shape[1:], strict=True)]
        if not any(missing):
            return piece
        pad = [n for size in reversed(missing) for n in (0, size)]
        if outside is not None:
            return F.pad(piece, pad, value=outside)
        return F.pad(piece[None], pad, mode="replicate")[0]
