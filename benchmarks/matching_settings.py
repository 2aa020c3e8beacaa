"""What the matching's settings are worth: Dice with one of them changed, paired over many cases.

    python benchmarks/matching_settings.py CASES [CASES ...] --set NAME=VALUE[,NAME=VALUE]...

CASES are folders as for ``few_slice.py``. NAME is a field of `PropagationConfig`, or of
`MatchSettings` as ``matching.NAME``; each ``--set`` is a run of its own. For every data set and
number of references the mean difference to the settings as they are is printed, with its standard
error over the cases: dozens of volumes, a fraction of a second each, tell .001 from chance, which
a handful does not.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import scoring
import torch
from few_slice import Case

from napari_sslseg.methods.propagation import PropagationConfig, propagate
from napari_sslseg.training.threads import usable_cores

Scores = Mapping[tuple[str, int], np.ndarray]


def changed(settings: str) -> PropagationConfig:
    """Return the settings with those changed that ``NAME=VALUE,NAME=VALUE`` says.

    Raises
    ------
    TypeError
        For a name that there is not.
    """
    config = PropagationConfig()
    for setting in settings.split(","):
        name, _, text = setting.partition("=")
        value = ast.literal_eval(text)
        if name.startswith("matching."):
            matching = replace(config.matching, **{name.removeprefix("matching."): value})
            config = replace(config, matching=matching)
        else:
            config = replace(config, **{name: value})
    return config


def dice(case: Case, config: PropagationConfig) -> float:
    """Dice of the Reference-guided proposal between the outermost references."""
    found = propagate(case.inked_volume(), config)
    between = scoring.slices_between(case.reference_slices)
    return scoring.mean_dice(found.labels.numpy(), case.truth, between, case.classes)


def scores(cases: list[Case], config: PropagationConfig) -> Scores:
    """Dice of every case, by data set and number of references."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = list(pool.map(lambda case: dice(case, config), cases))
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for case, value in zip(cases, found, strict=True):
        groups[case.dataset, len(case.reference_slices)].append(value)
    return {key: np.asarray(values) for key, values in sorted(groups.items())}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    options = parser.parse_args(arguments)
    try:
        configs = {setting: changed(setting) for setting in options.settings}
    except (TypeError, ValueError, SyntaxError) as error:
        parser.error(f"--set: {error}")
    torch.set_num_threads(1)
    folders = sorted(p.parent for root in options.cases for p in root.glob("*/case.json"))
    if not folders:
        parser.error(f"no case folders in {', '.join(map(str, options.cases))}")
    cases = [Case.read(folder) for folder in folders]
    base = scores(cases, PropagationConfig())
    title = "as they are"
    print(f"{title:32}", *(f"{d} K={k} ({len(v)}): {v.mean():.4f}" for (d, k), v in base.items()))
    for setting, config in configs.items():
        row = []
        for key, values in scores(cases, config).items():
            difference = values - base[key]
            error = difference.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            row.append(f"{key[0]} K={key[1]}: {difference.mean():+.4f} ± {error:.4f}")
        print(f"{setting:32}", *row, sep="  ", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
