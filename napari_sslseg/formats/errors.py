"""The one error that reading and writing files raises."""

from __future__ import annotations

from ..volume.user_error import UserError


class FormatError(UserError):
    """A file cannot be read or written; the message is one sentence fit for the user."""
