"""What all errors have in common whose message is made for the user."""

from __future__ import annotations


class UserError(ValueError):
    """Something that the user can mend; the message is one sentence: what, where, what to do."""


class ProjectError(UserError):
    """A project folder that cannot be used."""
