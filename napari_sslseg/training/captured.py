"""Training steps as CUDA graphs: the processor starts a whole step at once, not each operation.

A step of a small network is a few thousand short operations, and starting them one by one takes
longer than computing them. A step whose shapes repeat is therefore recorded once and replayed:
batches are copied to where the recording reads them, random numbers go on from the generators'
own states, and the progress of the training is a value on the device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..methods.frameworks.base import Batch
from ..methods.ramps import Scalar

#: Steps that are run as they come before one is recorded: libraries choose their algorithms and
#: allocate their workspaces in the first ones.
WARM_UP = 3
#: Kinds of batches (by their shapes) that are recorded; each keeps its own memory.
KINDS = 4

Step = Callable[[Batch, Scalar], dict[str, Tensor]]
Shapes = tuple[tuple[int, ...] | None, ...]

_log = logging.getLogger(__name__)


@dataclass
class _Recording:
    graph: torch.cuda.CUDAGraph
    batch: Batch
    progress: Tensor
    names: tuple[str, ...]
    values: Tensor


class CapturedStep:
    """A training step that is recorded and replayed on CUDA, and simply called elsewhere.

    Parameters
    ----------
    step
        Does everything from the batch to the moved weights and returns losses, scalars without
        gradient. It must not wait for the device, and do the same operations each time for batches
        of the same shapes; the progress reaches it as a tensor ``()`` on CUDA.
    device
        Where it computes.
    generator
        What it draws from, beside torch's own generator.
    recorded
        Whether the step can be recorded: it does the same operations each time.
    """

    def __init__(
        self, step: Step, device: torch.device, generator: torch.Generator, recorded: bool = True
    ) -> None:
        self._step, self._device, self._generator = step, device, generator
        self._recordings: dict[Shapes, _Recording] = {}
        self._seen: dict[Shapes, int] = {}
        self.enabled = recorded and device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def replays(self) -> bool:
        """Whether there are recordings, and they are used."""
        return self.enabled and bool(self._recordings)

    def __call__(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Do one step and return its losses; they stay valid after the next step."""
        if not self.enabled:
            return self._step(batch, progress)
        shapes = _shapes(batch)
        recording = self._recordings.get(shapes)
        if recording is None:
            seen = self._seen[shapes] = self._seen.get(shapes, 0) + 1
            if seen <= WARM_UP or len(self._recordings) == KINDS:
                return self._apart(batch, progress)
            recording = self._record(batch, progress)
            if recording is None:
                return self._apart(batch, progress)
            self._recordings[shapes] = recording
        else:
            _copy(batch, recording.batch)
            recording.progress.fill_(progress)
        recording.graph.replay()
        return dict(zip(recording.names, recording.values.clone().unbind(), strict=True))

    def _apart(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Do a step operation by operation, on the stream that recordings are made on."""
        current = torch.cuda.current_stream(self._device)
        assert self._stream is not None
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            parts = self._step(batch, torch.tensor(progress, device=self._device))
        current.wait_stream(self._stream)
        return parts

    def _record(self, batch: Batch, progress: float) -> _Recording | None:
        static = _clone(batch)
        share = torch.tensor(progress, device=self._device)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                parts = self._step(static, share)
                values = torch.stack([v.detach().float() for v in parts.values()])
        except RuntimeError as error:
            # Slower, but right: nothing has been computed while recording.
            _log.warning("This step cannot be recorded as a CUDA graph: %s", error)
            self.enabled = False
            return None
        return _Recording(graph, static, share, tuple(parts), values)


def _tensors(batch: Batch) -> list[Tensor | None]:
    return [getattr(batch, f.name) for f in fields(batch)]


def _shapes(batch: Batch) -> Shapes:
    return tuple(None if t is None else tuple(t.shape) for t in _tensors(batch))


def _clone(batch: Batch) -> Batch:
    return Batch(*[None if t is None else t.clone() for t in _tensors(batch)])  # type: ignore[arg-type]


def _copy(source: Batch, target: Batch) -> None:
    for new, place in zip(_tensors(source), _tensors(target), strict=True):
        if new is not None and place is not None:
            place.copy_(new, non_blocking=True)
