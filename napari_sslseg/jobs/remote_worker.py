"""The trainer process on another computer: ``python -m …remote_worker MIRROR [VOLUME]``."""

from __future__ import annotations

import sys

from ..volume.folders import VOLUMES
from .mirror_server import mirror_folder
from .worker import main as serve_requests


def main(mirror: str, volume: str = "") -> int:
    """Serve requests for the copy of a project, or for one of its further volumes.

    Parameters
    ----------
    mirror : str
        Name of the copy, see `mirror_server`.
    volume : str
        Key of the volume; empty for the first one.

    Returns
    -------
    int
        See `worker.main`.
    """
    home = mirror_folder(mirror)
    return serve_requests(str(home / VOLUMES / volume if volume else home))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
