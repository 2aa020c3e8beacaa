"""Files that another program holds for a moment, which Windows alone minds.

There a file that is open elsewhere can be neither replaced nor, while it is being replaced, opened.
The application reads what the trainer writes, and scanners for viruses open whatever is new, so
that what is refused now is granted a few hundredths of a second later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Windows' numbers of “access is denied” and “another process uses the file”.
_HELD = (5, 32)

#: Seconds to wait before each further try.
_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2)


def is_held(error: OSError) -> bool:
    """Return whether a file may be held by another program, as far as an error tells."""
    return getattr(error, "winerror", None) in _HELD


def patiently(action: Callable[[], T]) -> T:
    """Return what an action on a file returns; try again while another program holds the file.

    Parameters
    ----------
    action : callable
        Without arguments. Where it is refused, nothing must have been done.

    Raises
    ------
    OSError
        What the action raised last, after 0.4 s; at once where waiting does not help, as for files
        that the user may not write.
    """
    for seconds in _WAITS:
        try:
            return action()
        except PermissionError as error:
            if not is_held(error):
                raise
        time.sleep(seconds)
    return action()
