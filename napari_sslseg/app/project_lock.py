"""One window at a time works on a project: two would save over each other's strokes."""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from ..volume.folders import home_of
from ..volume.user_error import ProjectError

#: File in the project's folder; the system lets go of it however the application ends.
_NAME = "open.lock"


class ProjectLock:
    """Holds the project that a window works on; its methods may be called in any thread."""

    def __init__(self) -> None:
        self._held: tuple[Path, FileLock] | None = None

    def take(self, path: Path) -> None:
        """Hold the project that a folder belongs to, and let go of any other one.

        A folder that cannot be written to, or a disk that knows no locks, is not held.

        Parameters
        ----------
        path : Path
            Folder of a project, or of a volume in it.

        Raises
        ------
        ProjectError
            When another window holds it.
        """
        home = home_of(Path(path).resolve())
        if self._held is not None and self._held[0] == home:
            return
        lock = FileLock(home / _NAME, blocking=False, thread_local=False)
        try:
            if not home.is_dir():  # the lock would make it
                raise FileNotFoundError(home)
            lock.acquire()
        except Timeout as error:
            raise ProjectError(
                f"{home} is open in another window; close it there first, as two windows would "
                "save over each other's strokes."
            ) from error
        except (OSError, NotImplementedError):
            self.release()
            return
        self.release()
        self._held = home, lock

    def release(self) -> None:
        """Let go of the project."""
        held, self._held = self._held, None
        if held is not None:
            with contextlib.suppress(OSError):
                held[1].release()
