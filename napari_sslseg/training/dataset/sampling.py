"""Batches of slices or patches in an order that can be saved and taken up again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ...methods.frameworks.base import Batch
from ...volume.annotation import NOT_ANNOTATED
from .cases import Case
from .description import Dataset, DatasetError

#: Images that batch statistics are measured on.
CLEAN = 64

#: Bytes of images up to which they are kept on the device that trains.
RESIDENT = 16 * 2**30


#: What is said when a run cannot go on with the data that there are now.
CHANGED = (
    "The data of the run have changed since its state was saved; bring the files back, or use "
    "--fresh to start anew."
)


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
        """Return the next numbers, int64 ``(number,)``; none at all of a cycle of no numbers."""
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
        """Go on as where `state` was taken.

        Raises
        ------
        DatasetError
            When that was of more or fewer numbers.
        KeyError
            When it is none of a cycle.
        """
        if state["order"].numel() != self._order.numel():
            raise DatasetError(CHANGED)
        self._order, self._position = state["order"].clone(), int(state["position"])


class Sampler:
    """What samplers of slices and of patches share: where images lie, and the order of batches.

    Parameters
    ----------
    labelled, unlabelled
        Cases.
    dataset
        For the slices in context, or the size of patches.
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
        self._device, self._batch, self._dataset = device, batch, dataset
        size = sum(c.image.numel() * 4 for c in [*labelled, *unlabelled])
        self._place = device if size <= RESIDENT else torch.device("cpu")
        self._generator = torch.Generator().manual_seed(seed)
        counts = self._load(labelled, unlabelled)
        self._cycles = {
            name: Cycle(count, self._generator)
            for name, count in zip(("labelled", "unlabelled"), counts, strict=True)
        }

    def _load(self, labelled: list[Case], unlabelled: list[Case]) -> tuple[int, int]:
        """Take the cases in; return how many things to draw there are of each kind."""
        raise NotImplementedError

    def draw(self) -> Batch:
        """Return the next batch."""
        raise NotImplementedError

    def clean(self) -> Iterator[Tensor]:
        """Yield batches of images as they are, always the same ones, on the device.

        Labelled and unlabelled ones are mixed as they are in the data; the order of training is
        not touched.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        """Return all that the next batches depend on."""
        state = {
            f"{name}.{key}": value
            for name, cycle in self._cycles.items()
            for key, value in cycle.state().items()
        }
        return {**state, "generator": self._generator.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on as where `state` was taken.

        Raises
        ------
        DatasetError
            When the data have changed so that there are more or fewer things to draw.
        """
        for name, cycle in self._cycles.items():
            cycle.restore({key: state[f"{name}.{key}"] for key in ("order", "position")})
        self._generator.set_state(state["generator"])


class SliceSampler(Sampler):
    """Draws slices; parameters as of `Sampler`.

    Slices without any annotation are left out of the labelled stream, those with gaps in it (such
    as scribbles) are in the unlabelled one too.

    Parameters
    ----------
    every_class
        Exchange labelled slices of a batch, as few as possible, until each class that is labelled
        anywhere is among them, as far as there is room.
    """

    def __init__(
        self,
        labelled: list[Case],
        unlabelled: list[Case],
        dataset: Dataset,
        batch: tuple[int, int],
        device: torch.device,
        seed: int,
        every_class: bool = False,
    ) -> None:
        self._around = torch.arange(-dataset.context, dataset.context + 1)
        super().__init__(labelled, unlabelled, dataset, batch, device, seed)
        self._every_class = every_class
        if every_class:
            self._holders = [torch.nonzero(column).flatten() for column in self._members.T]
            for k, holders in enumerate(self._holders):
                self._cycles[f"class {k}"] = Cycle(len(holders), self._generator)

    def _load(self, labelled: list[Case], unlabelled: list[Case]) -> tuple[int, int]:
        cases = [*labelled, *unlabelled]
        self._images = torch.cat([c.image for c in cases]).to(self._place)
        lengths = torch.tensor([c.image.shape[0] for c in cases])
        ends = lengths.cumsum(0)
        self._first = (ends - lengths).repeat_interleave(lengths)
        self._last = (ends - 1).repeat_interleave(lengths)
        targets = torch.cat([c.target for c in labelled if c.target is not None])
        self._targets = targets.to(self._place)
        known = (targets != NOT_ANNOTATED).flatten(1)
        self._labelled = torch.nonzero(known.any(1)).flatten()
        gaps = torch.nonzero(~known.all(1)).flatten()
        others = torch.arange(len(targets), len(self._first))
        self._unlabelled = torch.cat([gaps, others])
        if len(self._labelled) == 0:
            raise DatasetError("No pixel of the labelled cases is annotated.")
        self._members = self._classes_in(targets[self._labelled])
        return len(self._labelled), len(self._unlabelled)

    def _classes_in(self, targets: Tensor) -> Tensor:
        """Return which classes but the background each slice has, ``(N, K)`` bool."""
        if self._dataset.overlapping:
            return (targets == 1).flatten(2).any(2)
        classes = range(1, self._dataset.outputs)
        return torch.stack([(targets == k).flatten(1).any(1) for k in classes], 1)

    def draw(self) -> Batch:
        """Return the next batch."""
        chosen = self._cycles["labelled"].take(self._batch[0])
        if self._every_class:
            chosen = self._completed(chosen)
        labelled = self._labelled[chosen]
        unlabelled = self._unlabelled[self._cycles["unlabelled"].take(self._batch[1])]
        target = self._targets[_send(labelled, self._targets.device)]
        return Batch(self._context(labelled), target.to(self._device), self._context(unlabelled))

    def clean(self) -> Iterator[Tensor]:
        """Yield batches of images as they are; see `Sampler.clean`."""
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randperm(len(self._first), generator=generator)[:CLEAN]
        for part in chosen.split(max(2, sum(self._batch))):
            yield self._context(part)

    def _completed(self, chosen: Tensor) -> Tensor:
        """Exchange slices until each class is there, or no slice can go without taking one."""
        chosen = chosen.clone()
        # Rare classes first: their slices often bring the others.
        for k in sorted(range(len(self._holders)), key=lambda k: len(self._holders[k])):
            members = self._members[chosen]
            if len(self._holders[k]) == 0 or members[:, k].any():
                continue
            # A slice may go if every class that it has is in another one as well.
            free = torch.nonzero(~(members & (members.sum(0) == 1)).any(1)).flatten()
            if len(free):
                chosen[free[0]] = self._holders[k][self._cycles[f"class {k}"].take(1)][0]
        return chosen

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


class PatchSampler(Sampler):
    """Draws patches at random places of volumes; parameters as of `Sampler`."""

    def _load(self, labelled: list[Case], unlabelled: list[Case]) -> tuple[int, int]:
        self._size = self._dataset.size

        def volume(case: Case) -> Tensor:
            return case.image.transpose(0, 1).contiguous().to(self._place)

        def target(case: Case) -> Tensor:
            assert case.target is not None
            known = case.target
            return (known.transpose(0, 1) if known.ndim == 4 else known).contiguous()

        targets = [target(c) for c in labelled]
        self._labelled = [
            (volume(c), t.to(self._place)) for c, t in zip(labelled, targets, strict=True)
        ]
        self._unlabelled = [volume(c) for c in unlabelled]
        for (image, _), known in zip(self._labelled, targets, strict=True):
            if (known == NOT_ANNOTATED).any():
                self._unlabelled.append(image)
        if all((known == NOT_ANNOTATED).all() for known in targets):
            raise DatasetError("No voxel of the labelled cases is annotated.")
        return len(self._labelled), len(self._unlabelled)

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

    def clean(self) -> Iterator[Tensor]:
        """Yield batches of patches as they are; see `Sampler.clean`."""
        generator = torch.Generator().manual_seed(0)
        volumes = [*(image for image, _ in self._labelled), *self._unlabelled]
        size = max(2, sum(self._batch))
        for _ in range(max(1, CLEAN // 4 // size)):
            chosen = torch.randint(len(volumes), (size,), generator=generator).tolist()
            patches = [self._cut(volumes[i], self._corner(volumes[i], generator)) for i in chosen]
            yield torch.stack(patches).to(self._device)

    def _corner(self, volume: Tensor, generator: torch.Generator | None = None) -> list[int]:
        generator = generator or self._generator
        room = [max(0, n - s) for n, s in zip(volume.shape[1:], self._size, strict=True)]
        return [int(torch.randint(r + 1, (1,), generator=generator)) for r in room]

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
