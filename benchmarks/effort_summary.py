"""Means over volumes of what simulated annotators did, and the tables of `effort.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from oracles import ORACLES
from rich.console import Console
from rich.table import Table

from napari_sslseg.acquisition.registry import DEFAULT, STRATEGIES

INTERPOLATION = "interpolation"
"""Shape interpolation with uniformly chosen slices and corrections."""

BASELINE = "uniform"


def reached(row: dict[str, Any], target: float) -> dict[str, Any] | None:
    """Return the effort at the first round with the target Dice, None when it never came."""
    return next((e for e in row["trace"] if e["dice"] >= target), None)


def summarise(rows: list[dict[str, Any]], targets: Iterable[float]) -> list[dict[str, Any]]:
    """Average over volumes, for each data set, target and strategy, and compare with uniform."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        groups[row["dataset"], row["strategy"]][row["volume"]] = row
    summary = []
    for dataset in sorted({d for d, _ in groups}):
        for target in targets:
            summary.append(_everything(list(groups[_any_of(groups, dataset)].values()), target))
            for strategy in _ordered(s for d, s in groups if d == dataset):
                members = groups[dataset, strategy]
                record = _record(dataset, strategy, target, list(members.values()))
                baseline = groups.get((dataset, BASELINE), {})
                if strategy != BASELINE:
                    record |= _against(members, baseline, target)
                summary.append(record)
    return summary


def _any_of(groups: dict[tuple[str, str], Any], dataset: str) -> tuple[str, str]:
    return max((k for k in groups if k[0] == dataset), key=lambda k: len(groups[k]))


def _ordered(names: Iterable[str]) -> list[str]:
    order = [INTERPOLATION, *(n for n in STRATEGIES if n != DEFAULT), DEFAULT, *ORACLES]
    return sorted(names, key=order.index)


def _everything(rows: list[dict[str, Any]], target: float) -> dict[str, Any]:
    return {
        "dataset": rows[0]["dataset"],
        "target": target,
        "strategy": "label everything",
        "volumes": len(rows),
        "reached": len(rows),
        "touched": _spread([r["object_slices"] for r in rows]),
        "touched_share": _spread([r["object_slices"] / r["depth"] for r in rows]),
        "painted": _spread([r["object_voxels"] for r in rows]),
        "painted_share": _spread([1.0 for _ in rows]),
        "rounds": _spread([0 for _ in rows]),
        "seconds": _spread([0 for _ in rows]),
    }


def _record(
    dataset: str, strategy: str, target: float, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    found = [(r, e) for r in rows if (e := reached(r, target)) is not None]
    return {
        "dataset": dataset,
        "target": target,
        "strategy": strategy,
        "volumes": len(rows),
        "reached": len(found),
        "touched": _spread([e["touched"] for _, e in found]),
        "touched_share": _spread([e["touched"] / r["depth"] for r, e in found]),
        "painted": _spread([e["painted"] for _, e in found]),
        "painted_share": _spread([e["painted"] / r["object_voxels"] for r, e in found]),
        "rounds": _spread([e["rounds"] for _, e in found]),
        "seconds": _spread([e["seconds"] for _, e in found]),
    }


def _against(
    members: dict[str, dict[str, Any]], baseline: dict[str, dict[str, Any]], target: float
) -> dict[str, Any]:
    """Compare, volume by volume, with uniform choice: fewer touched slices count positive."""
    pairs = []
    for name in sorted(members.keys() & baseline.keys()):
        mine, other = reached(members[name], target), reached(baseline[name], target)
        if mine is not None and other is not None:
            pairs.append((other["touched"], mine["touched"]))
    if not pairs:
        return {}
    fewer = [(a - b) / a for a, b in pairs]
    return {
        "fewer_than_uniform": _spread([a - b for a, b in pairs]),
        "share_fewer": _spread(fewer),
        "share_fewer_of_means": 1 - sum(b for _, b in pairs) / sum(a for a, _ in pairs),
        "won_tied_lost": [sum(f > 0 for f in fewer), fewer.count(0.0), sum(f < 0 for f in fewer)],
    }


def _spread(values: list[Any]) -> list[float | None]:
    """Mean and standard deviation."""
    if not values:
        return [None, None]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return [float(np.mean(values)), deviation]


def show(summary: list[dict[str, Any]], console: Console) -> None:
    """Print one table for each data set and target."""
    for dataset, target in sorted({(r["dataset"], r["target"]) for r in summary}):
        table = Table(title=f"{dataset}, Dice {target:.2f}", title_justify="left")
        for column in ("strategy", "reached", "slices", "of all", "voxels", "rounds", "s"):
            table.add_column(column, justify="left" if column == "strategy" else "right")
        table.add_column("fewer than uniform", justify="right")
        table.add_column("won/tied/lost", justify="right")
        for record in summary:
            if (record["dataset"], record["target"]) != (dataset, target):
                continue
            fewer = ""
            if "share_fewer" in record:
                means = f"{record['share_fewer_of_means']:.0%}"
                fewer = f"{means} ({_text(record['share_fewer'], '.0%')})"
            table.add_row(
                record["strategy"],
                f"{record['reached']}/{record['volumes']}",
                _text(record["touched"], ".1f"),
                _text(record["touched_share"], ".0%"),
                _text(record["painted_share"], ".1%"),
                _text(record["rounds"], ".1f"),
                _text(record["seconds"], ".1f"),
                fewer,
                "/".join(str(n) for n in record.get("won_tied_lost", [])),
            )
        console.print(table)


def _text(spread: list[float | None], style: str) -> str:
    mean, deviation = spread
    if mean is None or deviation is None:
        return "–"
    return f"{mean:{style}} ± {deviation:{style}}"
