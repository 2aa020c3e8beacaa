"""Which class each label of a file is: a small dialog, before anything is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..formats.label_survey import describe_slices
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable, SegmentClass
from .axis_words import axis_word
from .head_up import picture_rows
from .image_source import finest
from .step import narrow
from .thumbnails import icon, slice_picture

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..formats.label_survey import FoundLabel, Survey
    from ..formats.region_masks import Regions
    from .session import Session

#: Letters that the list of classes beside a label has room for.
_LETTERS = 22

#: Choices besides the classes of the table.
NEW, LEAVE_OUT = -1, BACKGROUND

#: Longest side of a picture, and labels that have one.
_SIDE = 80
_MOST_PICTURES = 24

#: How much larger than all labels of a slice the picture of it is.
_BESIDE = 1.5

#: Rows from which they are scrolled. Of more regions few are wanted: what a planning system has.
_MOST_ROWS = 5

#: New labels that the question names.
_LISTED = 6

#: Colour of a label that is no class yet.
_COLOR = "#ffd34d"


@dataclass(frozen=True)
class Decision:
    """What the user made of the labels of a file.

    Parameters
    ----------
    targets : mapping of int to int
        Class id by value in the file; the background for what is left out, `NEW` for a new class.
    axis : int
        Slicing axis from now on.
    """

    targets: Mapping[int, int]
    axis: int


def open_labels(found: Survey, names: Mapping[int, str], classes: ClassTable) -> list[int]:
    """Return the labels of which it is not clear what class they are.

    Clear is what the file calls as a class is called, and a single label for a single class.

    Parameters
    ----------
    found : Survey
    names : mapping of int to str
        What the file calls its labels, by class id.
    classes : ClassTable
    """
    values = [label.value for label in found.labels]
    if values == list(classes.ids) and len(values) == 1 and values[0] not in names:
        return []
    return [v for v in values if v not in names or v not in classes]


def usual(found: Survey, classes: ClassTable) -> dict[int, int]:
    """Return the class of the same number for each label, or `NEW`."""
    return {row.value: row.value if row.value in classes else NEW for row in found.labels}


def wanted(found: Survey, classes: ClassTable, regions: Regions | None) -> dict[int, int]:
    """Return what is proposed for each label: `usual`, but not all regions, which may overlap.

    The outline of the body is not wanted beside others, nor are many regions that are no classes.
    """
    targets = usual(found, classes)
    if regions is None or len(targets) < 2:
        return targets
    many = len(targets) > _MOST_ROWS
    return {
        value: LEAVE_OUT if target == NEW and (many or regions.masks[value].is_body) else target
        for value, target in targets.items()
    }


class LabelChooser(QDialog):
    """A row for each label: how it looks, how much of it there is, which class it is.

    Parameters
    ----------
    session : Session
    file : str
        Name of the file.
    shown : ndarray of uint8
        Its labels, in display order.
    found : Survey
    names : mapping of int to str
    parent : QWidget
    regions : Regions, optional
        What the labels are made of, where that is regions.
    """

    def __init__(
        self,
        session: Session,
        file: str,
        shown: npt.NDArray[np.uint8],
        found: Survey,
        names: Mapping[int, str],
        parent: QWidget,
        regions: Regions | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import labels")
        self._session, self._found, self._names = session, found, names
        self._regions = regions
        self._scroll: QScrollArea | None = None
        self.boxes: dict[int, QComboBox] = {}
        layout = QVBoxLayout(self)
        asked = bool(open_labels(found, names, session.classes))
        if asked:
            many = regions is not None and len(found.labels) > _MOST_ROWS
            question = (
                f"{file} has {len(found.labels)} regions. Which class is each one that you want?"
                if many
                else _question(file, found, names, session.classes)
            )
            self.text = QLabel(question)
            self.text.setWordWrap(True)
            layout.addWidget(self.text)
            layout.addWidget(self._rows(shown))
        self.turn = QCheckBox()
        self.turn.setVisible(bool(found.planes))
        if found.planes:
            word = axis_word(session.image, found.axis)
            self.turn.setText(f"Switch slices to {word}")
            self.turn.setChecked(True)
            told = QLabel(
                f"{file} is labelled on {describe_slices(found.planes)} that are {word}, while "
                f"slices are {axis_word(session.image, session.project.axis)} now."
            )
            told.setWordWrap(True)
            layout.addWidget(told)
            layout.addWidget(self.turn)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.import_button = self.buttons.addButton(
            "Import", QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.import_button.setDefault(True)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        if asked and many:
            every = self.buttons.addButton("Take all", QDialogButtonBox.ButtonRole.ActionRole)
            every.setToolTip("What is left out becomes a new class")
            every.clicked.connect(self._take_all)
        self._follow()
        layout.addWidget(self.buttons)
        self.resize(520, self.sizeHint().height())

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Make room for the widest row, which is known when styles and fonts are."""
        super().showEvent(event)
        if self._scroll is not None:
            bar = self._scroll.verticalScrollBar().sizeHint().width()
            widest = self._scroll.widget().minimumSizeHint().width()
            self._scroll.setMinimumWidth(widest + 2 * bar)

    def decision(self) -> Decision:
        """Return what is chosen now."""
        targets = {value: int(box.currentData()) for value, box in self.boxes.items()}
        axis = self._found.axis if self.turn.isChecked() else self._session.project.axis
        return Decision(targets or usual(self._found, self._session.classes), axis)

    def _take_all(self) -> None:
        for box in self.boxes.values():
            if box.currentData() == LEAVE_OUT:
                box.setCurrentIndex(box.findData(NEW))

    def _follow(self) -> None:
        """Of regions one at least has to be wanted."""
        chosen = [box.currentData() != LEAVE_OUT for box in self.boxes.values()]
        self.import_button.setEnabled(self._regions is None or not chosen or any(chosen))

    def _rows(self, shown: npt.NDArray[np.uint8]) -> QWidget:
        inside = QWidget()
        grid = QGridLayout(inside)
        scrolled = len(self._found.labels) > _MOST_ROWS
        grid.setContentsMargins(0, 0, 8 if scrolled else 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setColumnStretch(2, 1)  # long names are read in the lists
        chosen = wanted(self._found, self._session.classes, self._regions)
        for row, label in enumerate(self._found.labels):
            if row < _MOST_PICTURES:
                grid.addWidget(self._picture(shown, label), row, 0)
            name = self._names.get(label.value, "")
            head = f"“{name}”" if name else f"Label {label.value}"
            said = QLabel(f"{head}\n{label.describe()}")
            said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            box = narrow(QComboBox())
            box.setMinimumContentsLength(_LETTERS)
            for item in self._session.classes:
                box.addItem(item.name, item.id)
            box.addItem(f"New class “{name}”" if name else "New class", NEW)
            nothing = "Leave out" if self._regions is not None else "Leave out (background)"
            box.addItem(nothing, LEAVE_OUT)
            box.setCurrentIndex(box.findData(chosen[label.value]))
            box.currentIndexChanged.connect(self._follow)
            box.setAccessibleName(f"Class of {head}")
            self.boxes[label.value] = box
            grid.addWidget(said, row, 1)
            grid.addWidget(box, row, 2)
        if not scrolled:
            return inside
        grid.setRowStretch(len(self._found.labels), 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        self._scroll = scroll
        scroll.setMinimumHeight(_MOST_ROWS * _SIDE)
        return scroll

    def _picture(self, shown: npt.NDArray[np.uint8], label: FoundLabel) -> QLabel:
        """Draw the middle one of the slices that show a label."""
        session = self._session
        axis, index = self._found.axis, label.slices[len(label.slices) // 2]
        if self._regions is None:
            here = np.moveaxis(shown, axis, 0)[index]
        else:  # which another one may hide
            mask = self._regions.masks[label.value].plane(axis, index, shown.shape)
            here = mask * np.uint8(label.value)
        rows = picture_rows(session.image, axis)
        box = _around(here)
        image = np.moveaxis(finest(session.image), axis, 0)[index][box][rows]
        mine = here[box][rows] == label.value
        limits = session.image.contrast_limits
        own = self._regions.masks[label.value].color if self._regions is not None else ""
        classes = {c.id: c.color for c in session.classes}
        color = classes.get(label.value, own or _COLOR)
        table = ClassTable([SegmentClass(1, "it", color)])
        picture = QLabel()
        drawn = slice_picture(
            image, mine.astype(np.uint8), table, (float(limits[0]), float(limits[1])), _SIDE
        )
        pixmap = icon(drawn).pixmap(QSize(drawn.shape[1], drawn.shape[0]))
        kept, smooth = (
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        picture.setPixmap(pixmap.scaled(_SIDE, _SIDE, kept, smooth))
        picture.setToolTip(f"Slice {index}")
        return picture


def _around(labels: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """Return the part of a slice (H, W) around all of its labels, with some of what is beside."""
    places = np.nonzero((labels != BACKGROUND) & (labels != NOT_ANNOTATED))
    low = np.array([p.min() for p in places])
    high = np.array([p.max() + 1 for p in places])
    side = int(np.max(high - low) * _BESIDE) + 2
    found = []
    for middle, length in zip((low + high) // 2, labels.shape, strict=True):
        first = min(max(int(middle) - side // 2, 0), max(length - side, 0))
        found.append(slice(first, first + side))
    return found[0], found[1]


def _question(file: str, found: Survey, names: Mapping[int, str], classes: ClassTable) -> str:
    new = [row.value for row in found.labels if row.value not in classes]
    said = f"{file} tells its labels by number only. "
    if new:
        words = [f"“{names[v]}”" if v in names else str(v) for v in new[:_LISTED]]
        more = f" and {len(new) - _LISTED} more" if len(new) > _LISTED else ""
        plural = len(new) > 1
        nouns = "" if new[0] in names else "labels " if plural else "label "
        which = "which are no classes yet" if plural else "which is no class yet"
        said = f"{file} has {nouns}{', '.join(words)}{more}, {which}. "
    if len(found.labels) > 1:
        return f"{said}Which class is each of them?"
    return f"{said}{'Add it as a new class?' if new else 'Which class is it?'}"
