"""The annotated pixels that are nearest in feature space, found in blocks and exactly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .reference_pool import ReferencePool

#: Similarities held at a time: what a processor keeps in its caches, what keeps a device busy.
PROCESSOR_BLOCK, DEVICE_BLOCK = 2**20, 2**26

#: References whose best similarity is looked for before the best of all are.
_GROUP = 64


@torch.no_grad()
def nearest_references(
    queries: Tensor,
    pool: ReferencePool,
    k: int = 5,
    block: int | None = None,
    standardise: bool = False,
) -> tuple[Tensor, Tensor]:
    """Find the k annotated references with the largest ``max(0, cosine)``.

    Parameters
    ----------
    queries
        ``(Q, D)``, of any length.
    pool
        With at least one row.
    k
        Limited to the size of the pool.
    block
        Similarities held at a time, which bounds memory whatever the sizes of images and pool;
        None chooses for the device.
    standardise
        Rank by similarity in standard deviations from the mean of the reference over all queries,
        so that references that are near to everything (hubs) win less often.

    Returns
    -------
    similarities : Tensor
        ``(Q, k)`` in [0, 1], those of the references found, decreasing unless standardised; 0 where
        fewer than k pixels are annotated.
    indices : Tensor
        ``(Q, k)`` rows of the pool; where fewer than k pixels are annotated, the last ones mean
        nothing.
    """
    k = min(k, pool.symbols.numel())
    unit = F.normalize(queries.detach().float(), dim=1)
    references, valid, rows = pool.features, pool.valid, None
    if valid.device.type == "cpu" and k <= int(valid.sum()) < valid.numel():
        # Where nobody has to be waited for, what is not annotated need not be compared either.
        rows = valid.nonzero()[:, 0]
        references, valid = references[rows], valid[rows]
    if block is None:
        block = PROCESSOR_BLOCK if unit.device.type == "cpu" else DEVICE_BLOCK
    with torch.autocast(unit.device.type, enabled=False):
        search = _standardised if standardise else _plain
        similarities, indices = search(unit, references, valid, k, max(1, block // len(references)))
    return similarities.clamp(0, 1), indices if rows is None else rows[indices]


def _plain(
    unit: Tensor, references: Tensor, valid: Tensor, k: int, chunk: int
) -> tuple[Tensor, Tensor]:
    # Below every cosine, so that nothing that is not annotated comes before anything that is.
    handicap = torch.where(valid, 0.0, -4.0)
    keys, handicap = _whole_groups(references, handicap)
    found = [top(torch.addmm(handicap, part, keys.T), k) for part in unit.split(chunk)]
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])


def _standardised(
    unit: Tensor, references: Tensor, valid: Tensor, k: int, chunk: int
) -> tuple[Tensor, Tensor]:
    count = unit.shape[0]
    total = squares = torch.zeros(references.shape[0], dtype=torch.float64, device=unit.device)
    for part in unit.split(chunk):
        similar = (part @ references.T).clamp(0, 1).double()
        total, squares = total + similar.sum(0), squares + similar.square().sum(0)
    mean = total / count
    spread = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1e-6)
    values, indices = [], []
    for part in unit.split(chunk):
        similar = (part @ references.T).clamp(0, 1)
        score = ((similar - mean.float()) / spread.float()).masked_fill(~valid, -torch.inf)
        best = top(score, k)[1]
        values.append(torch.where(valid[best], similar.gather(1, best), 0.0))
        indices.append(best)
    return torch.cat(values), torch.cat(indices)


def _whole_groups(references: Tensor, handicap: Tensor) -> tuple[Tensor, Tensor]:
    """Add rows that are never found until there are whole groups."""
    missing = -len(references) % _GROUP if len(references) >= _GROUP**2 else 0
    return F.pad(references, (0, 0, 0, missing)), F.pad(handicap, (0, missing), value=-16.0)


def top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest scores of each row, and their columns.

    Selecting among many is slow next to computing them. But the k largest lie in the k groups with
    the largest maxima, and those take one pass to find.

    Parameters
    ----------
    scores
        ``(Q, R)``.
    k
        At most R.

    Returns
    -------
    values : Tensor
        ``(Q, k)``, falling.
    columns : Tensor
        ``(Q, k)`` int64.
    """
    count = scores.shape[1]
    if count < _GROUP**2 or count % _GROUP or k * _GROUP > count // 2:
        values, columns = scores.topk(k, dim=1)
        return values, columns
    groups = count // _GROUP
    # Members of a group lie `groups` columns apart, so that maxima are taken of whole rows.
    best = scores.view(-1, _GROUP, groups).amax(1).topk(k, dim=1).indices
    members = torch.arange(_GROUP, device=scores.device) * groups
    columns = (best.unsqueeze(2) + members).flatten(1)
    values, chosen = scores.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, chosen)
