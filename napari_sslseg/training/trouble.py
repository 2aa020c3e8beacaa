"""What went wrong, as one sentence for the user: in the panel, a batch, and on the command line.

Free of torch: its errors are known by their words.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from dataclasses import dataclass

from ..volume.system_errors import REASONS
from ..volume.user_error import UserError

#: Characters of the message of an unforeseen error that are shown; some libraries write pages.
_SHOWN = 200

_MEMORY = "The memory is full; close other programs or crop the image, then retry."
_GPU = "The GPU's memory is full; choose the CPU as device, then retry."

_THREADS = "The computer starts no more threads; close other programs, then retry."

#: How torch, and the libraries below it, say that there is no memory left.
_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|allocate memory|ALLOC_FAILED|create a memory object", re.I
)

#: Those of them that only the processor's libraries say.
_OF_PROCESSOR = re.compile(r"cpu|memory object", re.I)

#: How Python says that the system starts no further thread.
_NO_THREAD = "can't start new thread"

#: What some libraries make of an error of the system: Rust's words, and NumPy's for a full disk.
_NUMBERED = re.compile(r"\(os error (\d+)\)(?: at path \"(.+)\")?")
_CUT_OFF = re.compile(r"\d+ requested and \d+ written")

_PLACES = {
    errno.ENOENT: "it does not exist; check the path",
    errno.EEXIST: "a file of that name is in the way; choose another name",
    errno.ENOTDIR: "a part of that path is a file and no folder; check the path",
    errno.EISDIR: "it is a folder where a file is needed; choose another name",
    errno.EACCES: "you may not read or write there; choose another place or change the permissions",
    errno.EPERM: "you may not read or write there; choose another place or change the permissions",
}


@dataclass(frozen=True)
class Trouble:
    """An error as the user is told of it.

    Parameters
    ----------
    sentence : str
        One sentence: what, where, and what to do.
    foreseen : bool
        Whether the user can mend it. If not, it is a fault of the program.
    detail : str
        Traceback for a log; empty for errors that were made for the user.
    """

    sentence: str
    foreseen: bool
    detail: str = ""


def explain(error: BaseException) -> Trouble:
    """Put an exception into a sentence for the user.

    Parameters
    ----------
    error : BaseException
        Whatever ended the work; the user's cancelling is none of it.

    Returns
    -------
    Trouble
        Errors made for the user keep their words. Memory, of the computer or a GPU, and the system
        (files, folders, disks) are told in words that a user knows. All others are told by type
        and message, as not foreseen.
    """
    if isinstance(error, UserError):
        return Trouble(str(error), True)
    detail = "".join(traceback.format_exception(error))
    known = _of_memory(error) or _of_system(error)
    if known:
        return Trouble(known, True, detail)
    said = " ".join(str(error).split())
    said = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
    name = type(error).__name__
    sentence = f"An unexpected error ended this ({name}{': ' if said else ''}{said})."
    return Trouble(sentence, False, detail)


def _of_memory(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError):
        return _MEMORY if error.errno == errno.ENOMEM else ""
    said = str(error)
    if isinstance(error, RuntimeError) and _NO_THREAD in said:
        return _THREADS
    if not isinstance(error, RuntimeError) or not _NO_MEMORY.search(said):
        return ""
    return _MEMORY if _OF_PROCESSOR.search(said) else _GPU


def _of_system(error: BaseException) -> str:
    number, place = 0, ""
    found = _NUMBERED.search(str(error))
    if isinstance(error, OSError) and error.errno:
        number, named = error.errno, error.filename
        place = os.fsdecode(named) if isinstance(named, str | bytes | os.PathLike) else ""
    elif isinstance(error, OSError) and _CUT_OFF.search(str(error)):
        number = errno.ENOSPC
    elif found:
        # The path is that of a temporary file, beside the one that was to be written.
        number, place = int(found[1]), os.path.dirname(found[2] or "")
    if not number:
        return ""
    reason = {**REASONS, **_PLACES}.get(number, f"{os.strerror(number)}; check the disk")
    return f"{place or 'A file'} cannot be read or written: {reason}."
