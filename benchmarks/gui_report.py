"""Tables of what was measured on the GUI thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from gui_user import User
from gui_watch import Heartbeat, Watch

#: No call should take longer.
LIMIT_MS = 50.0

#: Thirty frames a second.
FRAME_MS = 1000 / 30

_TITLES = ("median", "p99", "slow %", "cpu", "x plain", "x its cpu")
_WIDTHS = (8, 8, 8, 8, 9, 11)


def report(name: str, watch: Watch, beat: Heartbeat, user: User) -> dict[str, Any]:
    """Print the tables of a part and return them."""
    rows = []
    for label, calls in watch.calls.items():
        held, own, cpu = (np.array(column) for column in zip(*calls, strict=True))
        rows.append(
            {
                "function": label,
                "calls": len(calls),
                "held_max": round(float(held.max()), 1),
                "own_max": round(float(own.max()), 1),
                "own_p99": round(float(np.percentile(own, 99)), 1),
                "cpu_max": round(float(cpu.max()), 1),
                "cpu_over": int((cpu > LIMIT_MS).sum()),
                "held_over": int((held > LIMIT_MS).sum()),
                "own_over": int((own > LIMIT_MS).sum()),
            }
        )
    rows.sort(key=lambda row: (-row["cpu_max"], -row["own_max"]))
    print(f"\n== {name}: time on the GUI thread, ms (over = calls above {LIMIT_MS:.0f} ms)")
    print("own: without the calls into napari; cpu: own time on the processor, not waiting for it")
    head = ("calls", "cpu max", "over", "own max", "p99", "over", "held max", "over")
    widths = (6, 9, 5, 9, 7, 5, 10, 5)
    print(f"{'function':52}" + "".join(f"{h:>{w}}" for h, w in zip(head, widths, strict=True)))
    for row in rows:
        if row["cpu_max"] >= 15 or row["held_over"]:
            print(
                f"{row['function'][:51]:52}{row['calls']:6d}{row['cpu_max']:9.1f}"
                f"{row['cpu_over']:5d}{row['own_max']:9.1f}{row['own_p99']:7.1f}"
                f"{row['own_over']:5d}{row['held_max']:10.1f}{row['held_over']:5d}"
            )
    gaps = np.array(beat.gaps)
    rest = gaps[:, 0] - gaps[:, 1] - gaps[:, 2]
    beats = {
        "beats": len(gaps),
        "gap_max": round(float(gaps[:, 0].max()), 1),
        "gap_p99": round(float(np.percentile(gaps[:, 0], 99)), 1),
        "ours_max": round(float(gaps[:, 1].max()), 1),
        "ours_p99": round(float(np.percentile(gaps[:, 1], 99)), 1),
        "ours_over": int((gaps[:, 1] > LIMIT_MS).sum()),
        "napari_max": round(float(gaps[:, 2].max()), 1),
        "rest_max": round(float(rest.max()), 1),
        "rest_over": int((rest > LIMIT_MS).sum()),
    }
    print(f"event loop, gaps between beats: {beats}")
    frames = {}
    for label, values in user.frames.items():
        wall, cpu = (np.array(column) for column in zip(*values, strict=True))
        frames[label] = {
            "median": round(float(np.median(wall)), 1),
            "p99": round(float(np.percentile(wall, 99)), 1),
            "slow": round(100 * float(np.mean(wall > FRAME_MS)), 1),
            "cpu": round(float(np.median(cpu)), 1),
        }
    titles = "".join(f"{t:>{w}}" for t, w in zip(_TITLES, _WIDTHS, strict=True))
    print(f"{'frames, ms until drawn (slow: below 30 a second)':72}{titles}")
    for label, row in frames.items():
        plain = frames.get(label.split(":")[0] + ": plain napari")
        times = tuple(row[k] / plain[k] if plain else np.nan for k in ("median", "cpu"))
        cells = (*row.values(), *times)
        print(f"{label:72}" + "".join(f"{c:{w}.1f}" for c, w in zip(cells, _WIDTHS, strict=True)))
    return {"part": name, "functions": rows, "event_loop": beats, "frames_ms": frames}
