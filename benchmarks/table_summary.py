"""Means over cases and seeds, as JSON and as a table for people."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from table_rows import PUBLISHED, all_rows

from napari_sslseg.training.dataset.evaluation import METRICS


def collect(out: Path) -> list[dict[str, Any]]:
    """Return one record a row: means over cases, then mean and spread over seeds."""
    results = [json.loads(path.read_text()) for path in sorted((out / "scores").glob("*.json"))]
    order = {row.name: i for i, row in enumerate(all_rows())}
    records = []
    for name in sorted({r["row"] for r in results}, key=lambda n: order.get(n, len(order))):
        runs = [r for r in results if r["row"] == name]
        record: dict[str, Any] = {
            "row": name,
            "seeds": [r["seed"] for r in runs],
            "protocol": runs[0]["protocol"]["kind"],
            "steps": runs[0]["protocol"]["settings"]["steps"],
            "seconds": round(sum(r["seconds"] for r in runs) / len(runs), 1),
            "device": runs[0]["device"],
            "published_dice": PUBLISHED.get(name),
        }
        for metric in METRICS:
            values = [r["summary"]["mean"][metric]["mean"] for r in runs]
            known = [v for v in values if v is not None]
            record[metric] = float(np.mean(known)) if known else None
            spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
            record[f"{metric}_sd_over_seeds"] = spread
        record["classes"] = {
            c: float(np.mean([r["summary"][c]["dice"]["mean"] for r in runs]))
            for c in runs[0]["summary"]
            if c != "mean"
        }
        records.append(record)
    return records


def markdown(records: list[dict[str, Any]]) -> str:
    """Return a table."""
    lines = [
        "| row | protocol | steps | seeds | Dice | Jaccard | HD95 | ASD | classes | published "
        "Dice | s a run |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        dice = _number(r["dice"], 3)
        if r["dice_sd_over_seeds"] is not None:
            dice += f" ± {r['dice_sd_over_seeds']:.3f}"
        classes = ", ".join(f"{c} {v:.3f}" for c, v in r["classes"].items())
        cells = [
            *(r["row"], r["protocol"], r["steps"], len(r["seeds"]), dice),
            *(_number(r["jaccard"], 3), _number(r["hd95"], 2), _number(r["asd"], 2)),
            *(classes, _number(r["published_dice"], 3), f"{r['seconds']:.0f}"),
        ]
        lines.append(f"| {' | '.join(str(c) for c in cells)} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def write_tables(out: Path) -> str:
    """Write both tables and return the one for people."""
    records = collect(out)
    text = markdown(records)
    # Several runs may write at a time.
    for name, content in (("tables.json", json.dumps(records, indent=1)), ("tables.md", text)):
        part = out / f"{name}.{os.getpid()}"
        part.write_text(content)
        os.replace(part, out / name)
    return text
