"""The project that a window works on is held: two would save over each other's strokes."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from ..training.project_locking import lock_project, unlock_project
from ..volume.folders import home_of


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
            When another window or a batch holds it.
        """
        home = home_of(Path(path).resolve())
        if self._held is not None and self._held[0] == home:
            return
        lock = lock_project(home)  # before the other one is let go: a refusal changes nothing
        self.release()
        if lock is not None:
            self._held = home, lock

    def release(self) -> None:
        """Let go of the project."""
        held, self._held = self._held, None
        if held is not None:
            unlock_project(held[1])
