"""Points in long work at which it may be made to wait, or be stopped.

Work on a whole volume passes one every slice or so, deep inside of what knows nothing of who asked
for it, and in several threads. What happens there is said by who runs it (`checked`); by itself,
nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

_checks: list[Callable[[], object]] = []


def check_point() -> None:
    """Wait as long as is wanted; raises what the check raises, to stop the work."""
    if _checks:
        _checks[-1]()


@contextlib.contextmanager
def checked(check: Callable[[], object]) -> Iterator[None]:
    """Have every check-point of this process call `check`, from whatever thread it is passed in."""
    _checks.append(check)
    try:
        yield
    finally:
        _checks.remove(check)
