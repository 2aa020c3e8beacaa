"""What the user is told of a file of a project that cannot be used."""

from __future__ import annotations

from pathlib import Path

from .user_error import ProjectError


def unusable(file: Path, error: Exception) -> ProjectError:
    """Return the error of a project without one of its files, for the user.

    Parameters
    ----------
    file : Path
        Of the project.
    error : Exception
        Why it cannot be read, or what in it cannot be; libraries say that in words of their own.

    Returns
    -------
    ProjectError
        To be raised from `error`.
    """
    if isinstance(error, PermissionError):
        return ProjectError(f"{file} may not be read; change its permissions.")
    what = "missing" if isinstance(error, FileNotFoundError) else "damaged, or of another project"
    return ProjectError(
        f"{file} is {what}: the project cannot be used without it; put back a copy from a backup."
    )
