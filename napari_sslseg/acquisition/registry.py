"""The strategies by name, and ranking over several volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .baselines import CoreSet, Random, Region, Uncertainty, Uniform
from .error_reduction import ErrorReduction
from .evidence import Evidence
from .strategy import Strategy
from .suggestion import Suggestion

STRATEGIES: dict[str, Callable[[], Strategy]] = {
    strategy.name: strategy
    for strategy in (ErrorReduction, Uniform, Random, Uncertainty, CoreSet, Region)
}

DEFAULT = ErrorReduction.name


def create(name: str = DEFAULT) -> Strategy:
    """Return a new strategy.

    Parameters
    ----------
    name : str
        One of `STRATEGIES`.

    Raises
    ------
    ValueError
        When there is none of that name, naming those that there are.
    """
    if name not in STRATEGIES:
        raise ValueError(f"There is no strategy “{name}”; choose from {', '.join(STRATEGIES)}.")
    return STRATEGIES[name]()


def best_of_volumes(strategy: Strategy, volumes: Iterable[Evidence]) -> Suggestion | None:
    """Return the best slice of several volumes; it says of which one. None when none is open.

    Parameters
    ----------
    strategy : Strategy
    volumes : iterable of Evidence
        Each with its `volume` set.
    """
    found = [s for evidence in volumes for s in strategy.rank(evidence)]
    return max(found, key=lambda s: s.score, default=None)
