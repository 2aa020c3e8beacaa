"""What every command says of input that it cannot work with."""

from __future__ import annotations

from .volume.user_error import UserError


class UsageError(UserError):
    """Input that cannot be worked with; the message is one clear sentence."""
