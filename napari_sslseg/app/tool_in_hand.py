"""The tool and the brush go with the user from one layer to the next.

What a drag does must not change because a proposal has come, or the other one is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .layer_roles import role_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import LayerList
    from napari.layers import Labels


#: Size of the first brush: napari's own, and in small images this share of a slice's shorter side.
_BRUSH, _SHARE = 10, 0.1


def first_brush(shape: Sequence[int]) -> int:
    """Return the size of the brush that a volume of a shape is begun with."""
    return max(1, min(_BRUSH, round(_SHARE * sorted(shape)[1])))


@dataclass(frozen=True)
class ToolInHand:
    """What the user paints with.

    Parameters
    ----------
    mode : str
        napari's tool.
    brush : float
        Size of the brush.
    """

    mode: str
    brush: float

    @classmethod
    def of(cls, layers: LayerList) -> ToolInHand | None:
        """Return the tool of the active layer; None where that is not one of ours to paint on.

        To be asked before layers are hidden: a hidden one has no tool.
        """
        active: Any = layers.selection.active
        if active is None or not role_of(active) or not active.editable:
            return None
        return cls(str(active.mode), float(active.brush_size))

    def take_up(self, layer: Labels) -> None:
        """Use it on another layer."""
        layer.brush_size = self.brush
        if self.mode != "transform":
            layer.mode = self.mode
