"""A volume larger than the memory in the application: seconds and memory of each thing a user does.

    python benchmarks/large_application.py [--shape Z Y X] [--folder DIR]

The volume is that of ``large_volume.py``, as uncompressed TIFF. It is opened in a real napari
window with the panel, scrolled through, labelling is started, one slice is labelled and painted on,
and the project is saved and closed. Needs a display, a virtual one for instance. Memory is what
lies in it (RSS) after each step, and of that what is not the mapped part of a file (anonymous).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from gui_user import User, wait
from large_volume import Scene, write

#: Seconds until a step counts as failed.
_LONGEST = 900.0


class Report:
    """Prints a line for each step."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        print(f"{'step':44}{'s':>8}{'RSS MiB':>10}{'anonymous':>11}")

    def step(self, name: str, action: Callable[[], Any]) -> Any:
        """Do something and print what it took."""
        start = time.monotonic()
        result = action()
        took = time.monotonic() - start
        memory = self._process.memory_full_info()
        anonymous = memory.rss - getattr(memory, "shared", 0)
        print(
            f"{name:44}{took:8.1f}{memory.rss / 2**20:10.0f}{anonymous / 2**20:11.0f}", flush=True
        )
        return result


def work(path: Path, scene: Scene, home: Path) -> None:
    """Do what a user does."""
    os.environ["NAPARI_SSLSEG_HOME"] = str(home)
    import napari

    from napari_sslseg.app.panel import LoopPanel

    viewer = napari.Viewer(show=True)
    panel = LoopPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Segment a volume")
    wait(1)
    report = Report()
    report.step("window and panel", lambda: wait(0.1))

    def open_file() -> None:
        viewer.open(str(path), plugin="napari-sslseg")
        wait(_LONGEST, lambda: bool(viewer.layers))
        wait(0.1)

    report.step("open the file, first slice drawn", open_file)
    user = User(viewer)
    report.step("scroll through 40 slices", lambda: user.scroll("scroll", 40))

    def begin() -> None:
        panel.volume.start.click()
        wait(_LONGEST, lambda: panel.session is not None)
        wait(0.1)

    report.step("start labelling (project, References)", begin)
    session = panel.session
    assert session is not None
    middle = scene.shape[session.project.axis] // 2
    session.go_to(middle)

    def label() -> None:
        rows, columns = np.nonzero(scene.truth(middle))
        layer = session.references.layer
        with layer.block_history():
            layer.data_setitem((np.full_like(rows, middle), rows, columns), 1)
        panel.references.mark.click()
        wait(_LONGEST, lambda: not session.autosave.pending)

    report.step("label a slice, saved", label)
    report.step("scroll through 40 slices", lambda: user.scroll("labelled", 40))
    report.step("a stroke of 10 moves", lambda: user.paint(session.references.layer, "paint"))
    report.step("saved", lambda: wait(_LONGEST, lambda: not session.autosave.pending))
    report.step("close the project", panel.close_session)
    for name, frames in user.frames.items():
        clock, processor = np.median(np.array(frames), axis=0)
        print(f"a frame, {name}: {clock:.0f} ms, {processor:.0f} ms of them on the processor")
    viewer.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 1024, 1024))
    parser.add_argument("--folder", type=Path, help="where the files are written for the time")
    options = parser.parse_args(arguments)
    scene = Scene(tuple(options.shape), round(0.3 * min(options.shape[1:])))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path, _, _ = write(scene, Path(name), 0)
        print(f"{path.stat().st_size / 2**30:.2f} GiB", flush=True)
        work(path, scene, Path(name) / "home")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
