"""What the JSON beside a model may hold: a file that says anything else is no model's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

#: Largest number of steps, and pixels of a frame's side, that can be meant.
_MOST_STEPS, _MOST_PIXELS = 10**12, 2**16


def is_sound(head: Mapping[str, Any]) -> bool:
    """Whether all values that are known have their type, and a size that can be meant.

    None need be there, and unknown ones are not looked at. Only the test's two scores come with its
    recipe.

    Parameters
    ----------
    head : mapping
        JSON values, NaN among them.
    """
    if "recipe" in head and not head.keys() >= {"network", "matching"}:
        return False
    return all(check(head[name]) for name, check in _CHECKS.items() if name in head)


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _frame(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_side, value))


def _side(value: Any) -> bool:
    return _whole(value, 1, _MOST_PIXELS)


def _recipe(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    temperature = value.get("temperature")
    return temperature is None or (_number(temperature) and 0 < temperature < math.inf)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _count(value: Any) -> bool:
    return _whole(value, 0, _MOST_STEPS)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "weights": _of(str),
    "frame": _frame,
    "reduction": _side,
    "recipe": _recipe,
    "network": _share,
    "matching": _share,
    "extent": _share,
    "few": _of(bool),
    "seen": _names,
    "steps": _count,
    # Of runs on data sets.
    "framework": _of(str),
    "in_channels": lambda value: _whole(value, 1, 10**6),
    "outputs": lambda value: _whole(value, 1, 10**6),
    "options": _of(dict),
    "data": _of(dict),
    "precision": _of(str),
    "step": _count,
}
