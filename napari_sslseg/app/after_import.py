"""Where a new project goes on when labels have been imported into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .panel import LoopPanel


def follow_imports(panel: LoopPanel) -> None:
    """Have a panel show, and say in, the step in which imported labels are worked on.

    The step that they were imported in is done with then, as after the first reference.
    """

    def came(text: str, as_proposal: bool) -> None:
        panel.column.fold(panel.volume)
        if as_proposal:
            panel.column.fold(panel.references)
            panel.column.fold(panel.train)
            panel.review.open()
            panel.export.open()
            panel.review.tell(text)
        else:
            panel.references.tell(text)

    panel.volume.label_import.imported.connect(came)
