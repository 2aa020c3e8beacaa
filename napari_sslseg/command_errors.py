"""What every command says of input that it cannot work with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .formats.choice import SeveralVolumesError
from .volume.user_error import UserError


class UsageError(UserError):
    """Input that cannot be worked with; the message is one clear sentence."""


@contextlib.contextmanager
def one_volume_a_case() -> Iterator[None]:
    """Say what to do with a file of several volumes where there is no way to choose one of them.

    Raises
    ------
    UsageError
        In the place of the error that asks to choose.
    """
    try:
        yield
    except SeveralVolumesError as error:
        titles = ", ".join(choice.title for choice in error.choices[:2])
        raise UsageError(
            f"{error.source} holds several volumes ({titles}, …) but a case is one; write those "
            "that are wanted into files, or DICOM series into folders, of their own, and name "
            "these under volumes."
        ) from error
