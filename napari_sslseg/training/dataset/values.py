"""Plain values of YAML, JSON and the command line, checked against the types of their fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import DatasetError


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return a value as the type of its field.

    Parameters
    ----------
    name : str
        What the value is called in messages.
    value : object
        As YAML or JSON has it. Lists become tuples, mappings the dataclass that is asked for, and
        text becomes a number where a float is: YAML reads ``1e-3`` as text.
    hint : type
        A number, text, yes or no, choices (`Literal`), an enumeration, a mapping, a dataclass, or a
        tuple of such, or any of them or None.

    Raises
    ------
    DatasetError
        With one sentence, when it is none of that type.
    """
    if get_origin(hint) in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    kind = get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(name, value, kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _fields(name, value, kind)
    return _CHECKS[kind](name, value, hint)


def _number(name: str, value: Any, hint: Any) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise DatasetError(f"{name} must be a number, not {value!r}.")


def _whole(name: str, value: Any, hint: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DatasetError(f"{name} must be a whole number, 0 or more, not {value!r}.")
    return value


def _yes_or_no(name: str, value: Any, hint: Any) -> bool:
    if not isinstance(value, bool):
        raise DatasetError(f"{name} must be true or false, not {value!r}.")
    return value


def _text(name: str, value: Any, hint: Any) -> str:
    if not isinstance(value, str):
        raise DatasetError(f"{name} must be a name, not {value!r}.")
    return value


def _choice(name: str, value: Any, hint: Any) -> Any:
    choices = get_args(hint)
    if value not in choices:
        *most, last = map(str, choices)
        words = f"{', '.join(most)} or {last}" if most else last
        raise DatasetError(f"{name} must be {words}, not {value!r}.")
    return value


def _member(name: str, value: Any, hint: Any) -> Any:
    try:
        return hint(value)
    except ValueError:
        known = ", ".join(str(each.value) for each in hint)
        raise DatasetError(f"{name} must be one of {known}, not {value!r}.") from None


def _pairs(name: str, value: Any, hint: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise DatasetError(f"{name} must be “name: value” pairs, not {value!r}.")
    return dict(value)


def _row(name: str, value: Any, hint: Any) -> tuple[Any, ...]:
    kinds = get_args(hint)
    if not isinstance(value, list | tuple):
        raise DatasetError(f"{name} must be a list such as [1, 2], not {value!r}.")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise DatasetError(f"{name} must be a list of {len(kinds)}, not {value!r}.")
    return tuple(checked(name, each, kind) for each, kind in zip(value, kinds, strict=True))


def _fields(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, kind):
        return value
    names, hints = {f.name for f in fields(kind)}, get_type_hints(kind)
    given = _pairs(name, value, kind)
    if unknown := sorted(str(key) for key in given if key not in names):
        raise DatasetError(
            f"{name} has no option {unknown[0]!r}; it has {', '.join(sorted(names))}."
        )
    return kind(**{key: checked(f"{key} of {name}", v, hints[key]) for key, v in given.items()})


#: The check of each type; enumerations and dataclasses are many, and found by what they are.
_CHECKS: dict[Any, Callable[[str, Any, Any], Any]] = {
    float: _number,
    int: _whole,
    bool: _yes_or_no,
    str: _text,
    Literal: _choice,
    Mapping: _pairs,
    tuple: _row,
}
