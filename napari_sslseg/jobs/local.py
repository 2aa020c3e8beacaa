"""A training job in a process of its own on this computer."""

from __future__ import annotations

import sys
from pathlib import Path

from .trainer_process import TrainerProcess


class LocalJob(TrainerProcess):
    """One trainer process on this computer; see `TrainerProcess`.

    Parameters
    ----------
    project : Path
        The project folder. All results go there.

    Raises
    ------
    OSError
        When the project folder is no longer there, or the process cannot be started.
    """

    def __init__(self, project: Path) -> None:
        # A module call instead of multiprocessing: a spawned child of that would run the
        # main script of whoever opened the viewer again. And -P: a user's own random.py in the
        # folder that the viewer was started in is none of the trainer's modules.
        super().__init__(
            project, [sys.executable, "-P", "-m", "napari_sslseg.jobs.worker", str(project)]
        )
