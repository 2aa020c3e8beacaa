"""The channels of the image: which are in view, and *Add a channel*."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..formats import FormatError, read
from ..formats.choice import SeveralVolumesError
from ..formats.multichannel import GridsDifferError
from .background import in_background
from .channels import (
    channel_from,
    channels_of,
    join,
    layer_like,
    leaders,
    leave,
    lies_as,
    volume_of,
    why_not_joinable,
    without_channels,
)
from .contrast import RANGE, value_range
from .layer_roles import METADATA, role_of
from .readers import windowed
from .series_chooser import ask
from .step import allow, hint_label, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from ..volume.image import Volume

#: A layer that is there already, or what becomes one.
_Made: TypeAlias = "Image | tuple[Volume, dict[str, Any]]"

_ROWS = 5

_TIP = "Further sequences of the same patient help to tell structures apart"


class ChannelList(QWidget):
    """The channels of one image; of a single one, only the button that adds another.

    Signals
    -------
    busy : str
        What is being read, empty when that is over.
    changed
        Other layers belong together now.
    """

    busy = Signal(str)
    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._image: Image | None = None
        self._watched: list[Image] = []
        self._fixed = False
        self.list = QListWidget()
        self.list.setToolTip("Tick: show this channel. Double-click: show it alone.")
        self.list.itemChanged.connect(self._on_tick)
        self.list.itemDoubleClicked.connect(self._on_double_click)
        self.list.currentRowChanged.connect(lambda row: self._allow())
        self.add_button = QPushButton("Add a channel")
        self.menu = QMenu(self.add_button)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.add_button.setMenu(self.menu)
        self.remove_button = QPushButton("Take out")
        self.remove_button.clicked.connect(self._on_remove)
        self.hint = hint_label()
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.add_button)
        row.addWidget(self.remove_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        self.refresh()

    # -- what the panel calls -------------------------------------------------------------

    def set_image(self, image: Image | None, fixed: bool = False) -> None:
        """Show the channels of an image.

        Parameters
        ----------
        image : Image or None
        fixed : bool
            Whether a project has taken them: then they can be shown and hidden only.
        """
        if image is not self._image:
            say(self.hint, "")
        self._image, self._fixed = image, fixed
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Look at the layers again."""
        members = self.members()
        self._watch(members)
        chosen = self.list.currentRow()
        self.list.blockSignals(True)
        self.list.clear()
        for layer in members:
            item = QListWidgetItem(layer.name)
            item.setToolTip(layer.name)
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled
                | Qt.ItemFlag.ItemIsSelectable
                | Qt.ItemFlag.ItemIsUserCheckable
            )
            item.setCheckState(Qt.CheckState.Checked if layer.visible else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.setCurrentRow(min(chosen, len(members) - 1))
        self.list.blockSignals(False)
        height = max(self.list.sizeHintForRow(0), 16)
        self.list.setFixedHeight(min(len(members), _ROWS) * height + 6)
        self.list.setVisible(len(members) > 1)
        self.remove_button.setVisible(len(members) > 1 and not self._fixed)
        self.add_button.setVisible(not self._fixed)
        self.setVisible(not self._fixed or len(members) > 1)
        self._allow()

    def members(self) -> list[Image]:
        """Return the channels, as layers, in their order."""
        return channels_of(self._viewer.layers, self._image)

    def add(
        self, path: Path, parts: Sequence[str | None] = (None,), resample: bool = False
    ) -> None:
        """Add what a file or folder holds as channels; reads it in a thread.

        Asks which volume where there are several, and whether to resample one on another grid.
        """
        image = self._image
        if image is None:
            return

        def work() -> list[_Made]:
            volumes = [channel_from(read(path, p), image, resample=resample) for p in parts]
            return [made for volume in volumes for made in _described(volume, image)]

        self._work(
            image,
            path.name,
            work,
            lambda chosen: self.add(path, chosen, resample),
            lambda: self.add(path, parts, True),
        )

    def add_layer(self, layer: Image, resample: bool = False) -> None:
        """Add an image that is open already; one on another grid is resampled into a new layer."""
        image = self._image
        if image is None:
            return

        own = channels_of(self._viewer.layers, layer)

        def work() -> list[_Made]:
            found: list[_Made] = []
            for one in own:
                if lies_as(one, image):
                    found.append(one)
                else:
                    moved = channel_from(volume_of(one), image, resample=resample)
                    found += _described(moved, image)
            return found

        self._work(image, layer.name, work, None, lambda: self.add_layer(layer, True))

    # -- inside ---------------------------------------------------------------------------

    def _work(
        self,
        image: Image,
        name: str,
        work: Callable[[], Any],
        choose: Callable[[list[str]], None] | None,
        resample: Callable[[], None],
    ) -> None:
        say(self.hint, "")
        self.busy.emit(f"Reading {name}…")

        def done(found: list[_Made]) -> None:
            self.busy.emit("")
            if image not in self._viewer.layers:
                return
            remarks: dict[str, None] = {}
            for made in found:
                if isinstance(made, Image):
                    join(self._viewer.layers, image, made)
                    continue
                volume, options = made
                layer = Layer.create(volume.array, options, "image")
                place, active = self._above(image), self._viewer.layers.selection.active
                join(self._viewer.layers, image, layer)
                self._viewer.layers.insert(place, layer)
                self._viewer.layers.selection.active = active
                remarks |= dict.fromkeys(volume.warnings)
            if self._image is image:
                say(self.hint, "\n".join(remarks))
            self.refresh()
            self.changed.emit()

        def failed(error: Exception) -> None:
            self.busy.emit("")
            if isinstance(error, SeveralVolumesError) and choose is not None:
                if chosen := ask(error, self.window()):
                    choose(chosen)
            elif isinstance(error, GridsDifferError):
                if self._agreed(f"{error}\n\nResample it (linearly) and add it?"):
                    resample()
            else:
                reason = str(error) if isinstance(error, FormatError) else f"{name}: {error}"
                say(self.hint, f"Not added: {reason}")

        in_background(work, done, failed, self)

    def _above(self, image: Image) -> int:
        """Return the place just above the channels that are there."""
        layers = list(self._viewer.layers)
        return max(layers.index(member) for member in channels_of(layers, image)) + 1

    def _fill_menu(self) -> None:
        self.menu.clear()
        self.menu.addAction("File…", self._choose_file)
        self.menu.addAction("Folder (DICOM, OME-Zarr, pictures)…", self._choose_folder)
        members = self.members()
        others = [
            layer
            for layer in leaders(self._viewer.layers)
            if layer not in members and not role_of(layer) and not why_not_joinable(layer)
        ]
        if others:
            self.menu.addSeparator()
        for layer in others:
            self.menu.addAction(
                layer.name.replace("&", "&&"), lambda layer=layer: self.add_layer(layer)
            )

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Add a channel", self._folder())
        if chosen:
            path = Path(chosen)
            # A Zarr folder cannot be chosen as a file, but one of its files can.
            zarr = [p for p in path.parents if p.name.lower().endswith(".zarr")]
            self.add(zarr[-1] if zarr else path)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add a channel", self._folder())
        if chosen:
            self.add(Path(chosen))

    def _folder(self) -> str:
        entry = self._image.metadata.get(METADATA, {}) if self._image is not None else {}
        source = entry.get("source")
        return str(Path(source).parent) if source else ""

    def _on_remove(self) -> None:
        members, row = self.members(), self.list.currentRow()
        if 0 < row < len(members):
            leave(members[row])
            self.refresh()
            self.changed.emit()

    def _on_tick(self, item: QListWidgetItem) -> None:
        members, row = self.members(), self.list.row(item)
        if 0 <= row < len(members):
            members[row].visible = item.checkState() == Qt.CheckState.Checked

    def _on_double_click(self, item: QListWidgetItem) -> None:
        chosen = self.list.row(item)
        for row, layer in enumerate(self.members()):
            layer.visible = row == chosen

    def _watch(self, members: list[Image]) -> None:
        for layer in self._watched:
            layer.events.visible.disconnect(self._on_layer)
            layer.events.name.disconnect(self._on_layer)
        self._watched = members
        for layer in members:
            layer.events.visible.connect(self._on_layer)
            layer.events.name.connect(self._on_layer)

    def _on_layer(self, event: Any = None) -> None:
        self.list.blockSignals(True)
        for row, layer in enumerate(self._watched):
            item = self.list.item(row)
            if item is not None:
                item.setText(layer.name)
                state = Qt.CheckState.Checked if layer.visible else Qt.CheckState.Unchecked
                item.setCheckState(state)
        self.list.blockSignals(False)

    def _allow(self) -> None:
        reason = "open an image first." if self._image is None else why_not_joinable(self._image)
        allow(self.add_button, reason, _TIP)
        row = self.list.currentRow()
        reason = ""
        if row < 0:
            reason = "choose a channel in the list first."
        elif row == 0:
            reason = "the first channel gives the others their grid."
        allow(self.remove_button, reason, "Make this channel an image of its own again")

    def _agreed(self, text: str) -> bool:
        answer = QMessageBox.question(self, "Add a channel", text)
        return bool(answer == QMessageBox.StandardButton.Yes)


def _described(volume: Volume, image: Image) -> list[_Made]:
    """Return each channel of a volume on the image's grid, with the options of its layer.

    They are hidden at first, so that the image stays in view as it was.
    """
    made: list[_Made] = []
    for number, one in without_channels(volume):
        options = layer_like(volume, image, number) | windowed(one.array, one) | {"visible": False}
        if ends := value_range(one.array, options.get("contrast_limits")):
            options["metadata"][METADATA][RANGE] = list(ends)
        made.append((one, options))
    return made
