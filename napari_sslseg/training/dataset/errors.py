"""The one error that describing, training and scoring a data set raises."""

from __future__ import annotations

from ...volume.user_error import UserError


class DatasetError(UserError):
    """Something in a description or its files that the user must change; one clear sentence."""
