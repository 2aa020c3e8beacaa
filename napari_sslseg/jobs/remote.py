"""A training job on another computer, which works on a copy of the project."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from ..training.events import (
    Cancelled,
    Estimated,
    Event,
    Failed,
    Finished,
    Progress,
    ProposalReady,
    VolumeProposed,
)
from ..training.facts import Phase
from ..training.request import BatchRequest, TrainRequest
from ..volume.folders import home_of
from ..volume.user_error import UserError
from .mirror import Mirror, name_of
from .place import Place
from .trainer_process import TrainerProcess

#: Before these are told, what they speak of is fetched.
_BRINGS = (ProposalReady, Estimated, VolumeProposed, Finished)

#: Seconds between two words on how much of the project has been copied; of less than that, none.
_TELL_EVERY = 0.5

#: What SSH exits with when it is its own connection that failed.
_LOST = 255


class RemoteJob(TrainerProcess):
    """One trainer process on another computer; see `TrainerProcess`.

    What a run needs is copied there when it starts, in a thread, and what it makes is here before
    it is told of. The application sees no difference, and keeps all of its work if the connection
    breaks.

    Parameters
    ----------
    project : Path
        The project folder, of the first or of a further volume. All results come there.
    place : Place

    Raises
    ------
    OSError
        When the project folder is no longer there, or SSH cannot be started.
    PlaceError
        When there is no SSH on this computer.
    """

    def __init__(self, project: Path, place: Place) -> None:
        self.place = place
        home = home_of(Path(project))
        volume = [] if Path(project) == home else [Path(project).name]
        command = place.command("napari_sslseg.jobs.remote_worker", [name_of(home), *volume])
        self.name = f"The trainer on {place.host}"
        self._mirror = Mirror(place, home)
        self._broken = self._sending = False
        try:
            super().__init__(project, command)
        except OSError:
            self._mirror.close()
            raise

    @property
    def ready(self) -> bool:
        """Whether a run can be started."""
        return super().ready and self._mirror.alive

    @property
    def memory(self) -> int:
        """0: what waits takes no memory of this computer."""
        return 0

    def start(self, request: TrainRequest | BatchRequest) -> None:
        """Copy what is new, then give the process its work; see `TrainerProcess.start`."""
        self._claim()
        self._sending = True
        threading.Thread(
            target=self._send_then_start, args=(request,), daemon=True, name="mirror-send"
        ).start()

    def make_way(self, seconds: float) -> None:
        """Do nothing: the user works on another processor."""

    def close(self, wait: bool = True) -> None:
        """End the process and the connection; what has been fetched stays in the project."""
        super().close(wait)
        self._mirror.close()

    def close_and_forget(self) -> None:
        """End the process, and remove the copy of the project, if the computer can be reached."""
        super()._kill()
        old = self._mirror
        with contextlib.suppress(UserError, OSError):
            if not old.alive and old.made:  # a run that was cut off has taken it along
                old.close()
                self._mirror = Mirror(self.place, old.home)
            if old.made:
                self._mirror.forget()
        self.close()

    # -- inside ---------------------------------------------------------------------------

    def _send_then_start(self, request: TrainRequest | BatchRequest) -> None:
        begun = told = time.monotonic()

        def tell(share: float) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _TELL_EVERY:
                told = now
                left = (now - begun) * (1 - share) / max(share, 1e-3)
                self._events.put(Progress(Phase.SENDING, share, round(left, 1)))

        try:
            self._mirror.send(tell)
            self._write(request.to_json())
        except (UserError, OSError) as error:
            self._fail(error)
        finally:
            self._sending = False

    def _told(self, event: Event) -> None:
        if self._broken:
            return
        if isinstance(event, _BRINGS):
            try:
                self._mirror.fetch()
            except (UserError, OSError) as error:
                self._fail(error)
                return
        super()._told(event)

    def _fail(self, error: Exception) -> None:
        self._broken = True
        if self._kill_at is not None:  # the connection was cut, as the user does not want it
            self._events.put(Cancelled())
            return
        sentence = str(error)
        if isinstance(error, OSError):
            sentence = (
                f"The files in {self.project} could not be copied ({error.strerror or error}); "
                "see whether they can be read, and whether there is room, and try again."
            )
        self._events.put(Failed(sentence))

    def _is_over(self) -> bool:
        # What is wrong with the connection is told by what was to be sent.
        return super()._is_over() and not self._sending

    def _obituary(self) -> Event:
        if self._kill_at is None and self._process.returncode == _LOST:
            return Failed(
                f"The connection to {self.place.host} was lost. Your work is safe; press Train to "
                "try again."
            )
        return super()._obituary()

    def _kill(self) -> None:
        super()._kill()
        self._mirror.close()
