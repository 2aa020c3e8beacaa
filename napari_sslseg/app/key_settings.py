"""Which key does what: defaults, the user's choice in a small file, and what napari has taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from app_model import Application
from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks, Vectors
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from napari.viewer import Viewer

from ..volume.replacing import replace_text
from .image_source import HOME_VARIABLE

FILE_NAME = "keys.json"


@dataclass(frozen=True)
class KeyAction:
    """Something that a key does.

    Parameters
    ----------
    name : str
        As in the settings file.
    key : str
        Default, as napari writes keys.
    text : str
        What it does, for the help.
    """

    name: str
    key: str
    text: str


ACTIONS = (
    KeyAction("accept_next", "G", "Good: accept or mark this slice, go to the next suggested one"),
    KeyAction("accept", "K", "Keep: accept this slice, or mark what you painted as reference"),
    KeyAction("accept_sure", "J", "Accept only the sure part of this slice"),
    KeyAction("next_slice", "N", "Go to the next suggested slice"),
    KeyAction("next_place", ".", "Go to the next place where the predictions disagree"),
    KeyAction("previous_place", ",", "Go back to the place before"),
    KeyAction("image_only", "H", "Hide all that lies over the image, or show it again"),
    KeyAction("planes", "F2", "Open or close the two other planes below the slice"),
    KeyAction("swap", "W", "Switch to the other proposal"),
    KeyAction("flip", "U", "Flip the doubtful part under the cursor to its second class"),
    KeyAction("take_part", "Q", "Take the part under the cursor from the other proposal"),
    KeyAction("help", "F1", "Show these keys"),
)

#: Keys that cannot be changed, with what they do.
FIXED = (
    ("Alt+1 … Alt+9", "Paint with a class"),
    ("Alt+0", "Paint background"),
    ("= and -", "Choose the next class, or the one before"),
    ("M", "Add a class"),
    ("Ctrl+Z", "Undo the last step, whatever it was"),
    ("Ctrl+Shift+Z", "Redo"),
)
_CLASS_KEYS = tuple(f"Alt+{digit}" for digit in range(10))


def settings_file() -> Path:
    """Where the user's own keys are kept."""
    chosen = os.environ.get(HOME_VARIABLE)
    folder = Path(chosen) if chosen else Path(platformdirs.user_config_path("napari-sslseg"))
    return folder / FILE_NAME


def normal(key: str) -> str:
    """Return a key as it is compared: ``Alt-1`` and ``alt+1`` are ``Alt+1``.

    Raises
    ------
    ValueError
        When it is no key.
    """
    try:
        found = str(coerce_keybinding(key))
    except (ValueError, KeyError, TypeError, AttributeError):
        found = ""
    if not found or "Unknown" in found:
        raise ValueError(f"“{key}” is not a key.")
    return found


def napari_keys() -> set[str]:
    """Keys that napari itself uses in menus, viewer and any kind of layer, as set up now."""
    found = {normal(str(k)) for keys in get_settings().shortcuts.shortcuts.values() for k in keys}
    for owner in (Viewer, Image, Labels, Points, Shapes, Surface, Tracks, Vectors):
        for cls in owner.__mro__:
            found |= {normal(str(k)) for k in getattr(cls, "class_keymap", {})}
    application = Application.get_app("napari")
    if application is not None:
        found |= {str(binding.keybinding) for binding in application.keybindings}
    return found


class Keys:
    """The keys in use.

    Parameters
    ----------
    taken : iterable of str
        Keys that belong to someone else.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {normal(key) for key in taken} | set(_CLASS_KEYS)
        self.by_name = {action.name: action.key for action in ACTIONS}
        self.trouble = ""
        self._load()

    def set(self, name: str, key: str) -> None:
        """Give an action another key, and remember it.

        Raises
        ------
        ValueError
            With one sentence, when the key cannot be used.
        """
        key = self._checked(name, key)
        before = self.by_name[name]
        self.by_name[name] = key
        try:
            self._save()
        except OSError as error:
            self.by_name[name] = before
            raise ValueError(f"The key could not be saved: {error.strerror or error}.") from error

    def reset(self) -> None:
        """Take the defaults again."""
        self.by_name = {action.name: action.key for action in ACTIONS}
        settings_file().unlink(missing_ok=True)

    def _checked(self, name: str, key: str) -> str:
        key = normal(key)
        if key in self._taken:
            raise ValueError(f"{key} is one of napari's own keys; choose another one.")
        for action in ACTIONS:
            if action.name != name and self.by_name[action.name] == key:
                raise ValueError(f"{key} is in use: {action.text}.")
        return key

    def _load(self) -> None:
        path = settings_file()
        if not path.exists():
            return
        reasons: list[str] = []
        try:
            saved = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            reasons.append(str(error))
        else:
            wanted = {name: str(key) for name, key in saved.items() if name in self.by_name}
            reasons += self._apply(wanted)
        if reasons:
            told = "; ".join(reason.partition(";")[0].removesuffix(".") for reason in reasons)
            self.trouble = f"Not all of your keys in {path} can be used: {told}; choose others (?)."

    def _apply(self, wanted: dict[str, str]) -> list[str]:
        """Use saved keys, but for the bad ones; returns why those are left out.

        All are put in place before any is checked: one may have the default of another that was
        moved as well.
        """
        reasons: list[str] = []
        defaults = dict(self.by_name)
        placed: list[str] = []
        for name, key in wanted.items():
            try:
                self.by_name[name] = normal(key)
            except ValueError as error:
                reasons.append(str(error))
            else:
                placed.append(name)
        # From the start after each one that is left out: its default may now be in use. The last
        # one first: of two with the same key the first one keeps it.
        while (bad := self._first_bad(placed[::-1])) is not None:
            name, reason = bad
            placed.remove(name)
            self.by_name[name] = defaults[name]
            reasons.append(reason)
        return reasons

    def _first_bad(self, names: Iterable[str]) -> tuple[str, str] | None:
        """Return the first of some actions whose key cannot be used, and why not."""
        for name in names:
            try:
                self._checked(name, self.by_name[name])
            except ValueError as error:
                return name, str(error)
        return None

    def _save(self) -> None:
        path = settings_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        defaults = {action.name: action.key for action in ACTIONS}
        chosen = {n: k for n, k in self.by_name.items() if k != defaults[n]}
        replace_text(path, json.dumps(chosen, indent=1))
