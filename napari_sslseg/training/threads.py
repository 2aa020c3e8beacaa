"""How many threads there may be, and how they wait.

Free of torch and scipy, because it must be said before the imports.
"""

from __future__ import annotations

import os

#: More processor cores than this do not help a run.
_MOST = 8


def calm_threads() -> None:
    """Make waiting threads sleep instead of spinning. Call before torch and scipy are imported.

    Spinning threads take the core from the very thread that they wait for; with a busy viewer
    beside it, training has been seen ten times slower for it. Those of scipy's linear algebra know
    no sleep: there is one of them, as all that is large is done by torch.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")


def usable_cores() -> int:
    """Return how many processor cores this process may use, 1 to 8."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(_MOST, len(os.sched_getaffinity(0))))
    return max(1, min(_MOST, os.cpu_count() or 1))
