"""The one error that reading and writing files raises."""

from __future__ import annotations


class FormatError(ValueError):
    """A file cannot be read or written; the message is one sentence fit for the user."""
