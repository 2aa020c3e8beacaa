"""One at a time works on a project: a window or a batch; two would save over each other's work.

Free of torch: windows and the command line ask before any training.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from ..volume.user_error import ProjectError, UserError

#: File in the project's folder; the system lets go of it however the application ends.
_NAME = "open.lock"


def lock_project(home: Path) -> FileLock | None:
    """Hold a project until `unlock_project`, or until the process ends.

    Parameters
    ----------
    home : Path
        Folder of the project itself, not of a further volume in it.

    Returns
    -------
    FileLock or None
        None where nothing can be held: a folder that is missing or cannot be written to, or a disk
        that knows no locks.

    Raises
    ------
    ProjectError
        When a window or a batch holds it.
    """
    try:
        if not home.is_dir():  # the lock would make it
            return None
    except OSError:
        return None
    refusal = (
        f"{home} is open in another window, or in a batch; close or end that first, "
        "as two would save over each other's work."
    )
    return hold(home / _NAME, ProjectError(refusal))


def hold(path: Path, refusal: UserError) -> FileLock | None:
    """Hold a file until `unlock_project`, or until the process ends.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    refusal : UserError
        Raised when it is held already.

    Returns
    -------
    FileLock or None
        None where nothing can be held.
    """
    lock = FileLock(path, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise refusal from error
    except (OSError, NotImplementedError):
        return None
    return lock


def unlock_project(lock: FileLock) -> None:
    """Let go of what `hold` or `lock_project` returned, without an error where the disk is gone."""
    with contextlib.suppress(OSError):  # the disk may be gone, and the lock with it
        lock.release()
