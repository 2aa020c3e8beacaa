"""The first labels layer of an application, made before the user waits for one.

napari colours labels with code that is compiled when it is first needed, anew in each process: two
to three seconds in which the window would stand still after *Start*.
"""

from __future__ import annotations

import contextlib
import threading
from functools import lru_cache

import numpy as np
from napari.layers import Labels, Points
from qtpy.QtCore import QTimer

from ..volume.classes import ClassTable
from .palette import reference_colormap

#: Milliseconds after which the compiling begins: the window is to be drawn first.
AFTER_MS = 500


def prepare_labels_soon() -> None:
    """Have a thread prepare labels once the window is there; needs a running application."""
    QTimer.singleShot(AFTER_MS, lambda: prepare_labels())


@lru_cache
def prepare_labels() -> threading.Thread:
    """Have a thread compile what colours labels; once in a process. Call in the GUI thread.

    Returns
    -------
    threading.Thread
        The application's end waits for it: code that is being compiled cannot be left alone.
    """
    # The first layer of a process reads the table of units. If an image were opened while the
    # thread does, it would find the table unfinished and fail for want of a "pixel".
    Points()
    thread = threading.Thread(target=_make_a_layer, name="first-labels")
    thread.start()
    return thread


def _make_a_layer() -> None:
    # What goes wrong here goes wrong again when a layer is needed, and is told then.
    with contextlib.suppress(Exception):
        # Of the type of all our labels: for each type of values other code is compiled.
        Labels(np.zeros((1, 2, 2), np.uint8), colormap=reference_colormap(ClassTable.from_ids([1])))
