"""Windows around the pixels of a slice, looked at in one pass, compiled for the processor.

Operation by operation a read writes and reads memory for each offset and descriptor: several times
what the arithmetic takes. Here a row of all offsets stays in a core's cache. The code is compiled
when it is first called, and kept on disk beside the module or in the user's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_ONE, _HALF, _LOG2_E = np.float32(1.0), np.float32(0.5), np.float32(math.log2(math.e))

#: Smallest power of two of a float32 that is not denormal.
_LOWEST = np.float32(-126.0)

#: Taylor series of 2 ** x around 0: off by 1e-8 of it at a half.
_SERIES = tuple(np.float32(math.log(2) ** k / math.factorial(k)) for k in range(8))


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile a function of arrays for the processor at its first call; threads run it at once.

    Parameters
    ----------
    function
        Of finite numbers only: sums are taken in any order.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": True}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: neither folder can be written to
        return njit(**options)(function)


def window_costs(
    query: torch.Tensor, key: torch.Tensor, offsets: NDArray[np.int64]
) -> torch.Tensor:
    """Return how much every pixel differs from those in its window.

    Parameters
    ----------
    query : (D, H, W) float32 tensor
        Descriptors, in the processor's memory like all else here.
    key : (D, H + 2 r, W + 2 r) float32 tensor
        Those of the other slice, with r more at each edge.
    offsets : (N, 2) int64 array
        Rows and columns of the window, from 0 to 2 r.

    Returns
    -------
    (N, H, W) float32 tensor
        Squared distances.
    """
    costs = query.new_empty((len(offsets), *query.shape[1:]))
    _window_costs(_array(query), _array(key), offsets, costs.numpy())
    return costs


def window_read(
    query: torch.Tensor,
    key: torch.Tensor,
    values: torch.Tensor,
    offsets: NDArray[np.int64],
    bias: Floats,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read values from every pixel's window, the more similar pixels counting more.

    Parameters
    ----------
    query, key, offsets
        As for `window_costs`.
    values : (C, H + 2 r, W + 2 r) float32 tensor
        Of the other slice.
    bias : (N,) float32 array
        Log weights of the offsets.
    temperature : float
        Squared distance that takes a weight's logarithm down by one.

    Returns
    -------
    values : (C, H, W) float32 tensor
        Means, weighted by the softmax of the squared distances.
    cost : (H, W) float32 tensor
        The mean squared distance, weighted like them.
    """
    read = query.new_empty((len(values), *query.shape[1:]))
    cost = query.new_empty(query.shape[1:])
    sharpness = np.float32(1.0 / temperature)
    arrays = _array(query), _array(key), _array(values)
    _window_read(*arrays, offsets, bias, sharpness, read.numpy(), cost.numpy())
    return read, cost


def compile_reads() -> None:
    """Compile what is compiled at its first call otherwise, which takes seconds once a machine."""
    slice_, padded = torch.zeros(1, 1, 2), torch.zeros(1, 1, 2)
    offsets, bias = np.zeros((1, 2), np.int64), np.zeros(1, np.float32)
    window_costs(slice_, padded, offsets)
    window_read(slice_, padded, padded, offsets, bias, 1.0)


def _array(tensor: torch.Tensor) -> Floats:
    # Each layout of an array would be compiled anew.
    return tensor.contiguous().numpy()


@compiled
def _add_squares(query: Any, key: Any, row: Any, offset: Any, cost: Any) -> None:
    """Add the squared distances of a row (W,) from the row at an offset."""
    width = query.shape[2]
    for d in range(query.shape[0]):
        here = query[d, row]
        # A part of a row and not an index with an offset, or it is not vectorised.
        there = key[d, row + offset[0], offset[1] : offset[1] + width]
        for x in range(width):
            difference = here[x] - there[x]
            cost[x] += difference * difference


@compiled
def _window_costs(query: Any, key: Any, offsets: Any, costs: Any) -> None:
    costs[:] = 0
    for row in range(query.shape[1]):
        for n in range(len(offsets)):
            _add_squares(query, key, row, offsets[n], costs[n, row])


@compiled
def _window_read(
    query: Any,
    key: Any,
    values: Any,
    offsets: Any,
    bias: Any,
    sharpness: Any,
    read: Any,
    cost: Any,
) -> None:
    _, height, width = query.shape
    costs = np.empty((len(offsets), width), np.float32)
    least, total = np.empty(width, np.float32), np.empty(width, np.float32)
    weight, bits = np.empty(width, np.float32), np.empty(width, np.int32)
    power = bits.view(np.float32)
    read[:] = 0
    for row in range(height):
        costs[:] = 0
        least[:] = np.inf
        total[:] = 0
        expected = cost[row]
        expected[:] = 0
        for n in range(len(offsets)):
            here, advantage = costs[n], bias[n]
            _add_squares(query, key, row, offsets[n], here)
            for x in range(width):
                least[x] = min(least[x], sharpness * here[x] - advantage)
        for n in range(len(offsets)):
            here, advantage = costs[n], bias[n]
            # The exponential, in steps that are vectorised: a series of the part within a half,
            # and the exponent of two written into the bits of a float.
            for x in range(width):
                exponent = (least[x] - sharpness * here[x] + advantage) * _LOG2_E
                exponent = max(exponent, _LOWEST)
                whole = np.floor(exponent + _HALF)
                part = exponent - whole
                series = _SERIES[7]
                series = series * part + _SERIES[6]
                series = series * part + _SERIES[5]
                series = series * part + _SERIES[4]
                series = series * part + _SERIES[3]
                series = series * part + _SERIES[2]
                series = series * part + _SERIES[1]
                weight[x] = series * part + _SERIES[0]
                bits[x] = (np.int32(whole) + np.int32(127)) << np.int32(23)
            for x in range(width):
                weight[x] *= power[x]
                total[x] += weight[x]
                expected[x] += weight[x] * here[x]
            left = offsets[n, 1]
            for c in range(len(values)):
                there = values[c, row + offsets[n, 0], left : left + width]
                result = read[c, row]
                for x in range(width):
                    result[x] += weight[x] * there[x]
        for x in range(width):
            total[x] = _ONE / total[x]
            expected[x] *= total[x]
        for c in range(len(values)):
            result = read[c, row]
            for x in range(width):
                result[x] *= total[x]
