"""What another computer would train on: asked once, before it is taken.

Asked of the command that a trainer would be started with, as on a cluster only that gets a GPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .mirror import Mirror
from .place import Place, PlaceError
from .trainer_process import NO_CONSOLE

#: How the line begins that tells, whatever else is printed there.
_TELLS = "napari-sslseg found "

#: Seconds that it may take: torch is imported, and a GPU may have to be waited for.
PATIENCE = 90.0


@dataclass(frozen=True)
class Surroundings:
    """What another computer tells of itself.

    Parameters
    ----------
    gpu : str
        Name of its GPU; empty where there is none that torch can use.
    """

    gpu: str


def look_around(place: Place, patience: float = PATIENCE) -> Surroundings:
    """Connect to another computer, and ask what there is.

    Parameters
    ----------
    place : Place
    patience : float
        Seconds.

    Raises
    ------
    PlaceError
        When it cannot be reached, has another version, or does not answer in time.
    OSError
        When SSH cannot be started.
    """
    with tempfile.TemporaryDirectory() as nothing:
        mirror = Mirror(place, Path(nothing))
        try:
            mirror.greet()
        finally:
            mirror.close()
    try:
        done = subprocess.run(
            place.command("napari_sslseg.jobs.surroundings", []),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
            creationflags=NO_CONSOLE,
        )
    except subprocess.TimeoutExpired as error:
        raise PlaceError(
            f"{place.host} was reached, but “{place.python}” has not begun within "
            f"{patience:.0f} seconds; try again when there is room."
        ) from error
    for line in done.stdout.decode(errors="replace").splitlines():
        if line.startswith(_TELLS):
            return Surroundings(str(json.loads(line.removeprefix(_TELLS))["gpu"]))
    raise place.trouble(done.stderr.decode(errors="replace"))


def main() -> int:
    """Tell what there is, on stdout; returns the exit code."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    print(_TELLS + json.dumps({"gpu": name}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
