"""Make the pictures of README.md and docs/tutorial.md, and the animated tour: ``make tour``.

Walks through the loop on the sample volume with the panel's own buttons, as the demo does, so that
the pictures show the application as it is. What an expert would paint comes from the sample's
labels. Needs a screen, or Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from tour_film import Box, Film, save_picture

from napari_sslseg.app.readers import labels_layer
from napari_sslseg.demo import Walk, settle, wait_for
from napari_sslseg.sample import load

IMAGES = Path(__file__).parent.parent / "docs" / "images"

#: Largest file that a page should load for the film, bytes.
MOST_BYTES = 2_000_000

#: Window, and the part of it that the film shows: left, top, right, bottom. napari's own docks are
#: left out.
_SIZE = (1280, 800)
_FILM_PART = (322, 22, 1280, 776)


class Tour(Walk):
    """The loop, with a picture and a few scenes of the film at each step."""

    def __init__(self, viewer: Any, panel: Any, out: Path, seconds: float) -> None:
        super().__init__(viewer, panel, out, seconds)
        self.film = Film()

    def go(self) -> dict[str, Any]:
        """Walk through the loop."""
        self.start()
        self.label()
        self.train()
        self.review()
        self.correct()
        self.retrain()
        self.export()
        self.next_volume()
        return {}

    # -- the steps ------------------------------------------------------------------------

    def start(self) -> None:
        """Show the volume and its classes."""
        session, panel = self.session, self.panel
        self.first = len(self.truth) // 2
        session.go_to(self.first)
        session.references.layer.mode = "pan_zoom"  # no brush is in the picture yet
        self.picture("volume")
        self.scene("1  Open a volume and name what you are looking for", 2.2, panel.volume.classes)

    def label(self) -> None:
        """Label three slices, the first one under the reader's eyes."""
        session, panel = self.session, self.panel
        layer, truth = session.references.layer, self._slice(self.first)
        panel.volume.close_step()
        for item in session.classes:
            session.choose_class(item.id)
            rows, columns = np.nonzero(truth == item.id)
            parts = np.quantile(rows, (0.3, 0.65, 1.0) if item.id == 1 else (0.5, 1.0))
            for last in parts:
                painted = (truth == item.id) & (np.arange(truth.shape[0])[:, None] <= last)
                self._paint(layer, self.first, painted, item.id)
                self._hover(int(last), int(columns[rows == int(last)].max()))
                self.scene("2  Paint every class on one slice, with napari's tools", 0.7)
        self.picture("references")
        mark = panel.references.mark
        self.scene("2  Mark the slice: what is not painted is background", 1.6, mark)
        mark.click()
        layer.mode = "pan_zoom"
        self.scene("2  Mark the slice: what is not painted is background", 1.2)
        count = len(self.truth_by_slice())
        for index in (count // 12, count - 1 - count // 12):
            session.go_to(index)
            for item in session.classes:
                self._paint(layer, index, self._slice(index) == item.id, item.id)
            mark.click()
            self.scene("2  Three to five slices are a good start", 1.1, panel.top.strip)

    def train(self) -> None:
        """Train, and show the proposal as soon as it is there."""
        session, panel = self.session, self.panel
        self._set_budget()
        self.scene("3  Press Train", 1.4, panel.train.train)
        panel.train.train.click()
        wait_for(lambda: bool(session.proposals), 120, "the first proposal")
        session.go_to(self.first + 4)
        settle(1.0)
        self.scene("3  Seconds later every slice has a proposal, while a network trains on", 2.4)
        panel.review.close_step()
        panel.export.close_step()
        latest = time.monotonic() + 0.7 * self.seconds  # a busy machine may have no curve by then
        wait_for(
            lambda: len(panel.train.chart.losses) > 8 or time.monotonic() > latest,
            self.seconds + 60,
            "a loss curve",
        )
        self.picture("train")
        panel.review.open()
        wait_for(lambda: not self._busy(), 10 * self.seconds + 180, "the end of training")
        settle(1.5)

    def review(self) -> None:
        """Find what is wrong."""
        session, panel = self.session, self.panel
        panel.export.close_step()
        session.go_to(self.first + 5)
        self._hover(40, 47)  # the status bar tells what is under the cursor
        self.scene("4  Colours say how far to trust it", 2.4, panel.review.legend)
        self.picture("review")
        for step in (3, 6, 9):
            session.go_to(self.first + 5 + step)
            self.scene(
                "4  The bar shows all slices: the higher, the more doubt", 0.6, panel.top.strip
            )
        panel.review.next_place.click()
        settle(1.0)
        self.scene("4  Go to the largest doubt …", 1.8, panel.review.next_place)
        panel.top.planes.click()
        wait_for(lambda: panel.planes.drawer.idle, 20, "the other planes")
        settle(0.5)
        self.scene("4  … and look at it in the other planes", 2.4, panel.planes)
        self.picture("planes")
        panel.top.planes.click()
        settle(0.3)

    def correct(self) -> None:
        """Correct the suggested slice and accept it."""
        session, panel = self.session, self.panel
        self.viewer.reset_view()
        self.scene("4  Next slice: where a correction helps most", 1.2, panel.review.next)
        panel.review.next.click()
        settle(0.6)
        self.scene("4  Next slice: where a correction helps most", 1.6, panel.review.hint)
        self._correct(session.references.current_slice())
        settle(0.8)
        panel.review.correct.open()
        self.picture("correct")
        panel.review.correct.close_step()
        self.scene("4  Correct it; where you have spoken there is no doubt", 2.0)
        self.scene("4  Accept the slice: it is a reference now", 1.2, panel.review.accept)
        panel.review.accept.click()
        settle(0.5)
        self.scene("4  Accept the slice: it is a reference now", 1.4, panel.top.strip)

    def retrain(self) -> None:
        """Train on with the corrected slice."""
        session, panel = self.session, self.panel
        self.scene("4  Retrain with what you have corrected", 1.4, panel.review.retrain)
        panel.review.retrain.click()
        wait_for(lambda: self._busy(), 20, "the start of training")
        wait_for(lambda: not self._busy(), 10 * self.seconds + 180, "the end of training")
        settle(1.5)
        session.go_to(self.first + 8)
        panel.review.measure.open()
        settle(1.5)
        self.picture("measure", panel.review.measure)
        panel.review.measure.close_step()
        words = "4  The new version replaces the old one when it is no worse"
        self.scene(words, 2.4, panel.review.news if panel.review.news.text() else None)

    def export(self) -> None:
        """Export the labels."""
        panel = self.panel
        panel.review.close_step()
        panel.train.close_step()
        panel.references.close_step()
        panel.export.open()
        with tempfile.TemporaryDirectory() as folder:
            panel.export.export_to(Path(folder) / "brain_labels.nii.gz")
            wait_for(lambda: "Exported" in panel.export.hint.text(), 60, "the end of the export")
        # The picture need not show where temporary files lie.
        panel.export.hint.setText(panel.export.hint.text().replace(folder + os.sep, ""))
        self.picture("export")
        self.scene(
            "5  Export: labels that lie exactly where the image lies", 3.0, panel.export.button
        )

    def next_volume(self) -> None:
        """Go on with a second volume, which the first one teaches."""
        panel, before = self.panel, self.session
        panel.export.close_step()
        image, truth = (replace(v, array=np.flip(v.array, 0)) for v in load())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "Brain mirrored.nii.gz"
            nib.save(nib.Nifti1Image(np.asarray(image.array), image.geometry.affine), path)
            panel.cohort.add([path])
            wait_for(lambda: len(panel.cohort.summaries()) > 1, 60, "the second volume")
            wait_for(lambda: not panel.volumes.hint.text(), 60, "the end of reading")
        panel.volumes.open()
        panel.volumes.list.itemClicked.emit(panel.volumes.list.topLevelItem(1), 0)
        wait_for(lambda: panel.session not in (None, before), 60, "the second volume in view")
        settle(1.0)
        self.session, self.truth = panel.session, np.asarray(labels_layer(truth)[0])
        self.session.go_to(self.first)
        for item in self.session.classes:
            self._paint(
                self.session.references.layer,
                self.first,
                self._slice(self.first) == item.id,
                item.id,
            )
        panel.references.mark.click()
        panel.volume.close_step()
        panel.references.close_step()
        self.scene("The next volume needs fewer references", 1.8, panel.volumes.list)
        self._set_budget()
        panel.train.open()
        panel.train.train.click()
        wait_for(lambda: self._busy(), 20, "the start of training")
        wait_for(lambda: not self._busy(), 10 * self.seconds + 180, "the end of training")
        settle(1.5)
        panel.review.close_step()
        self.session.go_to(self.first + 10)
        self.picture("volumes", panel.volumes.list)
        self.scene("The next volume needs fewer references", 2.4, panel.volumes.teach)

    def truth_by_slice(self) -> npt.NDArray[np.uint8]:
        """Return the labels of the sample with the slicing axis first."""
        return np.moveaxis(self.truth, self.session.project.axis, 0)

    # -- pictures -------------------------------------------------------------------------

    def scene(self, caption: str, seconds: float, widget: Any = None) -> None:
        """Add a scene to the film, with a ring around a widget."""
        rings = [] if widget is None else [self._box(widget)]
        left, top, right, bottom = _FILM_PART
        self.film.add(self._screenshot()[top:bottom, left:right], caption, seconds, rings)

    def picture(self, name: str, widget: Any = None) -> None:
        """Write a picture of the whole window."""
        if widget is not None:
            self._scroll_to(widget)
        path = self.out / f"{name}.png"
        save_picture(self._screenshot(), path)
        print(f"picture  {path}  {path.stat().st_size // 1000} kB")

    def _box(self, widget: Any) -> Box:
        self._scroll_to(widget)
        corner = widget.mapTo(self.panel.window(), widget.rect().topLeft())
        left, top, _, _ = _FILM_PART
        return corner.x() - left, corner.y() - top, widget.width(), widget.height()

    def _scroll_to(self, widget: Any) -> None:
        from qtpy.QtWidgets import QScrollArea

        for area in self.panel.findChildren(QScrollArea):
            if area.widget() is not None and area.widget().isAncestorOf(widget):
                area.ensureWidgetVisible(widget, 0, 30)
        settle(0.3)

    def _hover(self, row: int, column: int) -> None:
        """Put the cursor on a pixel of the slice in view, so that the brush is seen there."""
        from qtpy.QtCore import QPoint
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QWidget

        layer, shown = self.session.references.layer, list(self.viewer.dims.displayed)
        point = np.insert(np.array([row, column]), self.session.project.axis, self.first)
        world = np.asarray(layer.data_to_world(point))[shown]
        camera, size = self.viewer.scene.camera, np.array(self.viewer.canvas.size)
        place = (world - np.array(camera.center)[-2:]) * camera.zoom + size / 2
        for widget in self.panel.window().findChildren(QWidget):
            if type(widget).__name__ == "CanvasBackendDesktop":
                QTest.mouseMove(widget, QPoint(int(place[1]), int(place[0])))
        settle(0.2)

    def _screenshot(self) -> npt.NDArray[np.uint8]:
        from qtpy.QtWidgets import QToolTip

        QToolTip.hideText()
        settle(0.2)
        shot: npt.NDArray[np.uint8] = self.viewer.screenshot(canvas_only=False, flash=False)
        return shot

    def _set_budget(self) -> None:
        budget = self.panel.train.budget
        words = f"{self.seconds:g} seconds"
        if self.seconds not in budget.choices:
            budget.choices = [(words, self.seconds)]
        budget.value = self.seconds


def main() -> int:
    """Make all pictures and the film."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="where the pictures go")
    parser.add_argument("--seconds", type=float, default=60.0, help="training a round")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="projects-") as home:
        os.environ["NAPARI_SSLSEG_HOME"] = home
        import napari

        viewer = napari.Viewer(title="napari")
        viewer.window.resize(*_SIZE)
        viewer.open_sample("napari-sslseg", "brain")
        _, panel = viewer.window.add_plugin_dock_widget("napari-sslseg", "Segment a volume")
        panel.volume.start.click()
        wait_for(lambda: panel.session is not None, 60, "the project")
        panel.session.edit_class(1, name="Grey matter")
        panel.session.add_class("White matter")
        settle(0.5)
        tour = Tour(viewer, panel, arguments.out, arguments.seconds)
        tour.go()
        panel.close_session()
        viewer.close()
    path = arguments.out / "tour.webp"
    size = tour.film.save(path)
    print(f"film     {path}  {size // 1000} kB, {len(tour.film.scenes)} scenes")
    if size > MOST_BYTES:
        print(f"The film is larger than {MOST_BYTES // 1000} kB.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
