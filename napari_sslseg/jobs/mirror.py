"""The application's end of a project's copy on another computer: sends, and fetches what is new."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from .. import __version__
from ..volume.folders import is_gone, is_there
from ..volume.user_error import UserError
from .mirror_files import comes_back, copy_out, in_order, listing, stamp_of, write_whole
from .mirror_server import GREETING
from .place import Place, PlaceError
from .trainer_process import NO_CONSOLE

#: How often files are counted anew when one of them was replaced while they were sent.
_AGAIN = 5

#: Lines before the greeting: what a shell says to whoever comes in.
_MOST_NOISE = 1000


class Mirror:
    """One copy of a project, over a connection of its own; methods block, in one thread at a time.

    The connection is begun at once and waited for when it is needed.

    Parameters
    ----------
    place : Place
    home : Path
        Folder of the project itself, not of a further volume in it.

    Raises
    ------
    PlaceError
        When there is no SSH on this computer.
    OSError
        When it cannot be started.
    """

    def __init__(self, place: Place, home: Path) -> None:
        self.place, self.home = place, Path(home)
        #: Whether there may be a copy by this connection.
        self.made = False
        self._lock = threading.Lock()
        self._greeted = False
        self._process = subprocess.Popen(
            place.command(
                "napari_sslseg.jobs.mirror_server", [name_of(self.home)], needs_gpu=False
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=NO_CONSOLE,
        )
        self._complaints: deque[bytes] = deque(maxlen=40)
        self._listener = threading.Thread(
            target=self._complaints.extend, args=(self._process.stderr,), daemon=True
        )
        self._listener.start()

    @property
    def alive(self) -> bool:
        """Whether the connection is there, or being made."""
        return self._process.poll() is None

    def greet(self) -> None:
        """Wait for the connection.

        Raises
        ------
        PlaceError
            When the other computer cannot be reached, or has another version.
        """
        with self._talking():
            pass

    def send(self, told: Callable[[float], object] = lambda share: None) -> None:
        """Make the copy the same as the project.

        Parameters
        ----------
        told : callable
            Called with the share of bytes that are sent, in [0, 1].

        Raises
        ------
        PlaceError
            When the other computer cannot be reached, or has no room.
        ProjectError
            When the project is no longer there; its copy stays as it was.
        OSError
            When the project's own files cannot be read.
        """
        with self._talking():
            for _ in range(_AGAIN):
                self._look_for_it()
                there = listing(self.home)
                self.made = True
                wanted = self._ask({"do": "offer", "files": there})["wanted"]
                total, sent = max(1, sum(there[name][0] for name in wanted)), 0

                def count(more: int) -> None:
                    nonlocal sent
                    sent += more
                    told(min(1.0, sent / total))  # noqa: B023 - called within this turn

                try:
                    for name in wanted:
                        self._send_file(name, count)
                    return
                except FileNotFoundError:
                    continue  # the application has just replaced it by another one
            raise PlaceError(f"The files of {self.home} change too fast to be copied; try again.")

    def fetch(self) -> None:
        """Take over what the trainer has made since the last time, and nothing else.

        Raises
        ------
        PlaceError
            When the other computer cannot be reached.
        ProjectError
            When the project is no longer there; it is not made anew.
        OSError
            When the disk does not take it.
        """
        self._look_for_it()
        with self._talking():
            answer = self._ask({"do": "changed"})
            for name in in_order([n for n in answer["changed"] if comes_back(n)]):
                try:
                    stamp = self._ask({"do": "give", "name": name})["stamp"]
                except _RefusedError:
                    continue  # a later version has replaced it, and comes with the next event
                write_whole(self.home, name, self._answers, (int(stamp[0]), int(stamp[1])))
            for name in filter(comes_back, answer["gone"]):
                with contextlib.suppress(OSError):  # open on Windows: goes with the next version
                    (self.home / name).unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the copy from the other computer.

        Raises
        ------
        PlaceError
            When that cannot be reached.
        """
        with self._talking():
            self._ask({"do": "forget"})

    def close(self) -> None:
        """End the connection, if need be while it is in use; may be called in any thread."""
        self._process.kill()
        threading.Thread(target=self._bury, daemon=True, name="mirror-end").start()

    # -- inside ---------------------------------------------------------------------------

    def _look_for_it(self) -> None:
        if not is_there(self.home):
            raise is_gone(self.home)

    @property
    def _answers(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        with self._lock:
            try:
                self._greet()
                yield
            except UserError:
                raise
            except _RefusedError as error:
                raise PlaceError(
                    f"{self.place.host} cannot keep a copy of the project ({error}); make room "
                    "there, or train on another computer."
                ) from error
            # What it says cannot be meant, or nothing: it was closed, or is gone.
            except (BrokenPipeError, EOFError, ValueError, KeyError, TypeError) as error:
                raise self._why() from error

    def _greet(self) -> None:
        if self._greeted:
            return
        for _ in range(_MOST_NOISE):
            line = self._answers.readline()
            if not line:
                raise EOFError
            if line.startswith(GREETING.encode()):
                self._compare(line.decode().removeprefix(GREETING).strip())
                self._greeted = True
                return
        raise EOFError

    def _compare(self, version: str) -> None:
        if version != __version__:
            raise PlaceError(
                f"{self.place.host} has napari-sslseg {version}, and this computer {__version__}; "
                "install the same version on both."
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._write(json.dumps(request).encode() + b"\n")
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise _RefusedError(answer["error"])
        return answer

    def _send_file(self, name: str, told: Callable[[int], object]) -> None:
        # Opened before it is announced: once it is, so many bytes have to follow. And what is open
        # stays as it is when the application puts another file in its place.
        with open(self.home / name, "rb") as file:
            size, when = stamp_of(file.fileno())
            self._write(
                json.dumps({"do": "take", "name": name, "stamp": (size, when)}).encode() + b"\n",
            )
            copy_out(file, size, cast(BinaryIO, self._process.stdin), told)
        self._flush()
        self._answer()

    def _write(self, line: bytes) -> None:
        stream = cast(IO[bytes], self._process.stdin)
        stream.write(line)
        self._flush()

    def _flush(self) -> None:
        cast(IO[bytes], self._process.stdin).flush()

    def _why(self) -> PlaceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        self._listener.join(timeout=1)
        said = b"".join(self._complaints).decode(errors="replace")
        return self.place.trouble(said)

    def _bury(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        self._listener.join(timeout=2)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()


class _RefusedError(Exception):
    """The other computer says why it cannot do something."""


def name_of(home: Path) -> str:
    """Return the name of a project's copies: one of its own for each project and folder.

    A folder without a project has another one each time.
    """
    try:
        made = json.loads((Path(home) / "project.json").read_text(encoding="utf-8"))["created"]
    except (OSError, ValueError, KeyError, TypeError):
        made = uuid.uuid4().hex
    whose = f"{made!r} {Path(home).resolve()}"
    return hashlib.sha256(whose.encode()).hexdigest()[:24]
