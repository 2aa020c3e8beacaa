"""Build hook: give the package its copy of the manifest at the top of the repository.

npe2 finds a manifest through the package that its entry point names, and so inside that package.
A symbolic link would not survive a checkout on Windows.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):  # type: ignore[type-arg]
    """Copies ``napari.yaml`` into the package, for wheels, sdists and editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy the manifest before the files of the build are collected."""
        root = Path(self.root)
        shutil.copyfile(root / "napari.yaml", root / "napari_sslseg" / "napari.yaml")
