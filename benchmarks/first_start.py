"""Measure how long the window stands still at an application's first *Start*, and at later ones.

    python benchmarks/first_start.py [--wait SECONDS] [--shape Z Y X]

Needs a screen (or Xvfb). The panel is open for `--wait` seconds before *Start* is pressed: what is
prepared meanwhile need not be waited for then. ``--wait 0`` shows it without.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np


def longest_gap(done: Callable[[], bool]) -> float:
    """Let the application work until something is done; return its longest standstill, seconds."""
    from qtpy.QtWidgets import QApplication

    longest, last = 0.0, time.monotonic()
    while not done():
        QApplication.processEvents()
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        time.sleep(0.001)
    return longest


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wait", type=float, default=6.0, help="seconds before Start is pressed")
    parser.add_argument("--shape", nargs=3, type=int, default=(40, 128, 128), metavar="N")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_SSLSEG_HOME"] = home
        import napari

        from napari_sslseg.app.panel import LoopPanel

        viewer = napari.Viewer(show=True)
        image = np.random.default_rng(0).integers(0, 255, given.shape).astype(np.uint8)
        viewer.add_image(image, name="noise")
        panel = LoopPanel(viewer)
        viewer.window.add_dock_widget(panel)
        opened = time.monotonic()
        longest_gap(lambda: time.monotonic() > opened + given.wait / 2)
        waiting = longest_gap(lambda: time.monotonic() > opened + given.wait)
        print(f"while waiting (second half): {1e3 * waiting:.0f} ms")
        for turn in ("first", "second"):
            pressed = time.monotonic()
            panel.volume.start.click()
            held = longest_gap(lambda: panel.session is not None)
            took = time.monotonic() - pressed
            print(f"{turn} Start: the window stood still for {held:.2f} s of {took:.2f} s")
            panel.close_session()
            rested = time.monotonic()
            longest_gap(lambda rested=rested: time.monotonic() > rested + 0.5)
        viewer.close()


if __name__ == "__main__":
    main()
