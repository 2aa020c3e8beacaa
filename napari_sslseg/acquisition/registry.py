"""The strategies by name, and ranking over several volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def rank_volumes(
    strategy: Strategy, volumes: Sequence[Evidence], wanted: int = 1
) -> list[Suggestion]:
    """Rank slices over several volumes; each suggestion says of which volume it is.

    Parameters
    ----------
    strategy : Strategy
    volumes : sequence of Evidence
        Each with its `volume` set.
    wanted : int
        Number of slices of all volumes together.

    Returns
    -------
    list of Suggestion
        Best first; fewer when fewer slices are open.
    """
    found = [s for evidence in volumes for s in strategy.rank(evidence, wanted)]
    return sorted(found, key=lambda s: -s.score)[:wanted]
