"""How to compute fastest on this processor now: threads and number format, measured.

It cannot be told from the processor's name. A second thread doubles the speed of an idle machine
and, where the viewer or another program needs that core, makes every step wait; bfloat16 halves
the time on processors that have instructions for it and triples it on others. A few small steps
tell within a fraction of a second.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

#: A rival must be this much faster to win: timings of a few milliseconds are noisy, and several
#: threads lose more than one when another program wants the processor later on.
MARGIN = 0.8


@dataclass(frozen=True)
class Compute:
    """How to compute.

    Parameters
    ----------
    threads : int
        Threads inside one operation.
    bfloat16 : bool
        Whether networks run in bfloat16 under autocast.
    """

    threads: int
    bfloat16: bool


def tune(device: torch.device) -> Compute:
    """Choose threads and number format by timing small training steps; sets the threads.

    Parameters
    ----------
    device : torch.device
        On a GPU nothing is measured: bfloat16 is right on CUDA, and one thread feeds it.
    """
    if device.type != "cpu":
        torch.set_num_threads(1)
        return Compute(1, device.type == "cuda")
    cores = max(1, os.cpu_count() or 1)
    candidates = [Compute(1, False), Compute(1, True)]
    if cores > 1:
        candidates += [Compute(cores, False), Compute(cores, True)]
    best, fastest = candidates[0], float("inf")
    for candidate in candidates:
        taken = _time(candidate)
        if taken < MARGIN * fastest:
            best, fastest = candidate, taken
    torch.set_num_threads(best.threads)
    return best


def warm_up(device: torch.device) -> None:
    """Have torch and a GPU load what they load late, which takes seconds, before anybody waits."""
    # The first optimiser of a process imports torch's compiler: most of a second.
    torch.optim.LBFGS([torch.zeros(1, requires_grad=True)])
    if device.type == "cpu":
        return
    layer = torch.nn.Conv2d(8, 8, 3, padding=1).to(device)
    x = torch.randn(4, 8, 64, 64, device=device)
    for enabled in (False, True):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            y = F.interpolate(F.leaky_relu(layer(x)), scale_factor=2.0, mode="bilinear")
            y = F.grid_sample(y.float(), torch.rand(4, 64, 64, 2, device=device))
            y = F.conv2d(
                F.pad(y, (2, 2, 0, 0), mode="replicate"), torch.rand(8, 8, 1, 5).to(device)
            )
        y.softmax(1).log().sort(1).values.square().mean().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(compute: Compute) -> float:
    """Seconds of one convolutional training step, the middle of three."""
    torch.set_num_threads(compute.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 16, 96, 96, generator=generator).to(memory_format=torch.channels_last)
    w = torch.randn(16, 16, 3, 3, generator=generator).requires_grad_()
    times = []
    for _ in range(4):
        begin = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=compute.bfloat16):
            y = x
            for _ in range(4):
                y = F.leaky_relu(F.conv2d(y, w, padding=1))
            loss = y.float().square().mean()
        loss.backward()
        w.grad = None
        times.append(time.perf_counter() - begin)
    return sorted(times[1:])[1]
