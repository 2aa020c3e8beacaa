"""A description's YAML file, read without a guess: each key once, and numbers that mean themselves.

Plain YAML lets the last of two equal keys win, and reads 010 as 8 and 12:30 as 750.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DatasetError

if TYPE_CHECKING:
    from yaml import SafeLoader
    from yaml.nodes import MappingNode, ScalarNode

_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> dict[Any, Any]:
    """Read the settings in a YAML file in UTF-8.

    Raises
    ------
    DatasetError
        With one sentence: what is wrong, and where.
    """
    try:
        import yaml
    except ImportError as error:
        raise DatasetError(
            "Descriptions of data sets need PyYAML; install it with: pip install pyyaml"
        ) from error
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _loader(path))  # a safe one
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror or error}; check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text in UTF-8; save it as that.") from error
    # Beside its own errors: of a date that cannot be, and of brackets within brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not valid YAML{_fault(error)}; write lines of “key: value”, indented with "
            "spaces, and what YAML takes for something else in quotes."
        ) from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no settings; it must be lines of “key: value”.")
    return content


def _fault(error: Exception) -> str:
    """Say where YAML has found a fault, and which."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return f"{where}: {'it is too deeply nested' if isinstance(error, RecursionError) else what}"


def _loader(path: Path) -> type[SafeLoader]:
    """Return PyYAML's safe loader, made to refuse what it would else guess."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Knows plain values alone."""

        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
            """Return a mapping, each of whose keys stands there once."""
            lines: dict[Any, int] = {}
            for key_node, _ in node.value:
                # Of others the original says that they cannot be keys; merged keys may be repeated.
                if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
                    continue
                key, line = self.construct_object(key_node), key_node.start_mark.line + 1
                if key in lines:
                    before = lines[key]
                    places = f"line {line}" if before == line else f"lines {before} and {line}"
                    raise DatasetError(
                        f"{path}: the key {key_node.value!r} stands twice in one block, in "
                        f"{places}; leave one of them out."
                    )
                lines[key] = line
            return super().construct_mapping(node, deep)

    def whole(loader: Loader, node: ScalarNode) -> int:
        digits = node.value.lstrip("+-")
        if ":" in digits or (len(digits) > 1 and digits[0] == "0"):
            line = node.start_mark.line + 1
            raise DatasetError(
                f"{path}: YAML takes {node.value} in line {line} for the number "
                f"{loader.construct_yaml_int(node)}; write it in quotes if it is a name, else as "
                "that number."
            )
        return int(loader.construct_yaml_int(node))

    Loader.add_constructor("tag:yaml.org,2002:int", whole)
    return Loader
