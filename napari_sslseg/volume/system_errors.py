"""Errors of the operating system in words a user knows."""

from __future__ import annotations

import errno

#: Why a file could not be written, and what to do, by the number of the error.
REASONS = {
    errno.ENOSPC: "the disk is full; make room or choose another place",
    errno.EDQUOT: "your share of the disk is used up; make room or choose another place",
    errno.EFBIG: "this disk takes no files of that size; choose another place",
    errno.EACCES: "you may not write there; choose another place or change the permissions",
    errno.EPERM: "you may not write there; choose another place or change the permissions",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}
