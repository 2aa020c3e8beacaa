"""The trainer's copy of a project on another computer: ``python -m …mirror_server MIRROR``.

Runs there, at the end of an SSH connection. Requests come as JSON, one a line, and each has one
answer, which is such a line too; bytes of files follow the line that names them.

- ``{"do": "offer", "files": {name: stamp}}`` tells what the application has; what it has no longer
  is removed, and the answer says what is wanted.
- ``{"do": "take", "name": …, "stamp": …}`` and the bytes.
- ``{"do": "changed"}`` asks for what the trainer has made since, and what of the offered is gone.
- ``{"do": "give", "name": …}`` is answered with the stamp and the bytes.
- ``{"do": "forget"}`` removes the copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from .. import __version__
from .mirror_files import (
    Stamp,
    comes_back,
    copy_out,
    goes_over,
    in_order,
    listing,
    stamp_of,
    write_whole,
)

#: How the first line begins, after whatever the shell there says.
GREETING = "napari-sslseg files "

#: Environment variable that names another folder for the copies.
FOLDER_VARIABLE = "NAPARI_SSLSEG_MIRRORS"

#: Seconds after which a copy that nobody has used is removed.
KEPT = 30 * 24 * 3600.0

_USED = ".used"

#: How often it is tried to remove a copy, and seconds between.
_TRIES, _BETWEEN = 4, 0.5


def mirrors_folder() -> Path:
    """Return the folder of all copies on this computer."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("napari-sslseg") / "mirrors"


def mirror_folder(mirror: str) -> Path:
    """Return the folder of one copy.

    Raises
    ------
    ValueError
        When that is no name of one.
    """
    if not mirror.isalnum() or not mirror.isascii():
        raise ValueError(f"{mirror!r} names no copy of a project")
    return mirrors_folder() / mirror


class MirrorServer:
    """Answers for one copy.

    Parameters
    ----------
    home : Path
        Its folder; made when something is put into it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        #: What the application has: as it said, and what it has been given since.
        self._there: dict[str, Stamp] = {}
        #: Small files that name others, as they were when these were counted.
        self._heads: dict[str, tuple[Stamp, bytes]] = {}

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Answer until the requests end."""
        answers.write(f"{GREETING}{__version__}\n".encode())
        answers.flush()
        acts: dict[str, Callable[[dict[str, Any], BinaryIO, BinaryIO], None]] = {
            "offer": self._offer,
            "take": self._take,
            "changed": self._changed,
            "give": self._give,
            "forget": self._forget,
        }
        for line in requests:
            request = json.loads(line)
            try:
                acts[request["do"]](request, requests, answers)
            except OSError as error:
                _say(answers, {"error": error.strerror or str(error)})
            answers.flush()

    def _offer(self, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)  # images of patients
        (self.home / _USED).touch()
        there = {name: (int(s[0]), int(s[1])) for name, s in request["files"].items()}
        here = listing(self.home)
        for name in here.keys() - there.keys():
            (self.home / name).unlink(missing_ok=True)
        self._there = {name: stamp for name, stamp in there.items() if goes_over(name)}
        wanted = [name for name, stamp in self._there.items() if here.get(name) != stamp]
        _say(answers, {"wanted": in_order(wanted)})

    def _take(self, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
        name, (size, when) = request["name"], request["stamp"]
        if not goes_over(name):
            raise ValueError(f"{name} is no file of a project")
        write_whole(self.home, name, requests, (size, when))
        self._there[name] = size, when
        _say(answers, {})

    def _changed(self, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
        # Heads first: what they name is there as long as no later one is.
        self._heads.clear()
        before = listing(self.home)
        for name in filter(_is_head, before):
            with contextlib.suppress(FileNotFoundError), open(self.home / name, "rb") as file:
                self._heads[name] = stamp_of(file.fileno()), file.read()
        here = listing(self.home) | {name: stamp for name, (stamp, _) in self._heads.items()}
        made = [n for n, stamp in here.items() if comes_back(n) and self._there.get(n) != stamp]
        gone = [n for n in self._there if comes_back(n) and n not in here]
        for name in gone:
            del self._there[name]
        _say(answers, {"changed": in_order(made), "gone": gone})

    def _give(self, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
        name = request["name"]
        if not comes_back(name):
            raise ValueError(f"{name} is no file that a trainer makes")
        if name in self._heads:
            stamp, content = self._heads[name]
            _say(answers, {"stamp": stamp})
            answers.write(content)
        else:
            with open(self.home / name, "rb") as file:
                stamp = stamp_of(file.fileno())
                _say(answers, {"stamp": stamp})
                copy_out(file, stamp[0], answers)
        self._there[name] = stamp

    def _forget(self, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
        for _ in range(_TRIES):
            shutil.rmtree(self.home, ignore_errors=True)
            if not self.home.exists():
                break
            time.sleep(_BETWEEN)  # a trainer that is just leaving may still write
        self._there.clear()
        _say(answers, {})


def forget_old(folder: Path, now: float) -> None:
    """Remove the copies that nobody has used for `KEPT` seconds.

    Parameters
    ----------
    folder : Path
        Of all copies.
    now : float
        Seconds since 1970.
    """
    for used in folder.glob(f"*/{_USED}"):
        with contextlib.suppress(OSError):
            if now - used.stat().st_mtime > KEPT:
                shutil.rmtree(used.parent)


def _is_head(name: str) -> bool:
    return name.endswith(".json") and comes_back(name)


def _say(answers: BinaryIO, content: dict[str, Any]) -> None:
    answers.write(json.dumps(content).encode() + b"\n")


def main(mirror: str) -> int:
    """Serve one copy on stdin and stdout; returns the exit code."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    home = mirror_folder(mirror)
    forget_old(home.parent, time.time())
    with contextlib.suppress(BrokenPipeError):
        MirrorServer(home).serve(sys.stdin.buffer, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
