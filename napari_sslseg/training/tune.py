"""How to compute fastest on this processor now: threads and number format, measured.

It cannot be told from the processor's name. A second thread doubles the speed of an idle machine
and, where the viewer or another program needs that core, makes every step wait; bfloat16 halves
the time on processors that have instructions for it and triples it on others. A few small steps
tell within about a second.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .threads import usable_cores

#: A rival must be this much faster to win: several threads lose more than one when another program
#: wants the processor later on.
MARGIN = 0.85

#: Times that each way is measured, in turns: what disturbs one then disturbs all.
ROUNDS = 5

#: A way that takes so many times as long as the fastest in both of its first tries is given up.
HOPELESS = 3.0


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
    best = fastest_of([Compute(1, False), Compute(1, True)], _time)
    cores = usable_cores()
    if cores > 1:
        counts = [n for n in (2, 4) if n < cores] + [cores]
        more = [replace(best, threads=n) for n in counts]
        best = fastest_of([best, *more], _time)
    torch.set_num_threads(best.threads)
    return best


def fastest_of(candidates: Sequence[Compute], measure: Callable[[Compute], float]) -> Compute:
    """Return the fastest way by the middle of several measurements.

    Parameters
    ----------
    candidates : sequence of Compute
        In order of preference: a later one must be clearly faster, see `MARGIN`.
    measure : callable
        Takes one of them and returns seconds; its first call for each counts only for `HOPELESS`,
        as libraries prepare themselves then.
    """
    first = {each: measure(each) for each in candidates}
    times = {each: [measure(each)] for each in candidates}
    # A first try may be slow by preparing, a second one by another program.
    least = {each: min(first[each], *times[each]) for each in candidates}
    hopeful = [each for each in candidates if least[each] <= HOPELESS * min(least.values())]
    for _ in range(ROUNDS - 1):
        for each in hopeful:
            times[each].append(measure(each))
    best = hopeful[0]
    for each in hopeful[1:]:
        if statistics.median(times[each]) < MARGIN * statistics.median(times[best]):
            best = each
    return best


def warm_up(device: torch.device, waited_for: Callable[[], bool] = lambda: False) -> None:
    """Have torch and a GPU load what they load late, which takes seconds, before anybody waits.

    On a GPU it draws from torch's own generators of random numbers.

    Parameters
    ----------
    device : torch.device
    waited_for : callable
        Whether somebody waits by now: the rest is loaded when it is needed then, which for a
        processor's training is after the first proposal.
    """
    from scipy import optimize  # noqa: F401  (of the appearance: a quarter of a second)

    from ..methods.compiled_read import compile_reads

    compile_reads()
    if device.type == "cpu" and waited_for():
        return
    # The first optimiser of a process imports torch's compiler: seconds.
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
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
    """Seconds of one convolutional training step of about the size of a real one's layers."""
    torch.set_num_threads(compute.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 16, 96, 96, generator=generator).to(memory_format=torch.channels_last)
    w = torch.randn(16, 16, 3, 3, generator=generator).requires_grad_()
    begin = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=compute.bfloat16):
        y = x
        for _ in range(3):
            y = F.leaky_relu(F.conv2d(y, w, padding=1))
        loss = y.float().square().mean()
    loss.backward()
    return time.perf_counter() - begin
