"""The nearest references of a pixel, by plain and by standardised similarity."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.nearest import nearest_references, top
from napari_sslseg.methods.reference_pool import ReferencePool


def test_similarities_are_relu_cosines():
    pool = ReferencePool.from_maps(torch.tensor([3.0, 4]).view(1, 2, 1, 1), torch.zeros(1, 1, 1), 1)
    similarity, index = nearest_references(torch.tensor([[2.0, 0], [-1, 0]]), pool, k=5)
    torch.testing.assert_close(similarity, torch.tensor([[0.6], [0.0]]))
    assert index.tolist() == [[0], [0]]


def test_the_best_of_many_are_found_by_groups():
    g = torch.Generator().manual_seed(0)
    scores = torch.rand(20, 64 * 70, generator=g)
    scores[:10, 5::70] += 1  # all in one group
    for k in (1, 5, 30):
        values, columns = top(scores, k)
        torch.testing.assert_close(values, scores.topk(k, dim=1).values)
        assert torch.equal(scores.gather(1, columns), values)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("annotated", [1.0, 0.001])
def test_a_pool_too_large_for_one_pass_finds_what_a_small_one_does(annotated, sign):
    g = torch.Generator().manual_seed(0)
    features = torch.rand(2, 4, 50, 50, generator=g)  # no whole number of groups
    labels = torch.randint(0, 3, (2, 50, 50), generator=g)
    labels[torch.rand(labels.shape, generator=g) > annotated] = 255
    pool = ReferencePool.from_maps(features, labels, 3)
    queries = sign * torch.rand(60, 4, generator=g)
    values, rows = nearest_references(queries, pool, 5, block=100_000)
    cosines = F.normalize(queries, dim=1) @ pool.features.T
    assert rows.max() < cosines.shape[1]
    known = min(5, len(pool))
    assert known == (5 if annotated == 1 else 3)
    best = cosines[:, pool.valid].topk(known, dim=1).values
    torch.testing.assert_close(cosines.gather(1, rows[:, :known]), best)
    torch.testing.assert_close(values[:, :known], best.clamp_min(0))
    assert pool.valid[rows[:, :known]].all()
    assert (values[:, known:] == 0).all()


def test_standardised_ranking_is_not_won_by_a_hub():
    # Reference 0 resembles every query; reference 1 stands out for the second query alone.
    queries = torch.tensor([[1.0, 0.2], [0.95, 0.6], [1.0, 0.25]])
    references = F.normalize(torch.tensor([[1.0, 0.4], [0.0, 1.0]]), dim=1)
    yes, image = torch.ones(2).bool(), torch.zeros(2).long()
    pool = ReferencePool(references, torch.arange(2), torch.eye(2), image, yes, False, 1, 2)
    assert nearest_references(queries, pool, 1)[1].flatten().tolist() == [0, 0, 0]
    values, indices = nearest_references(queries, pool, 1, standardise=True)
    sims = (F.normalize(queries, dim=1) @ references.T).clamp(0, 1)
    z = (sims - sims.mean(0)) / sims.std(0, unbiased=False)
    assert indices.flatten().tolist() == z.argmax(1).tolist()
    assert indices[1].item() == 1
    torch.testing.assert_close(values, sims.gather(1, indices))


def test_standardised_ranking_never_finds_what_is_not_annotated():
    # Fewer are annotated than are asked for; the others resemble the queries most.
    features = torch.tensor([[1.0, 0.0, 0.6, 1.0], [0.0, 1.0, 0.8, 0.2]]).view(1, 2, 1, 4)
    pool = ReferencePool.from_maps(features, torch.tensor([[[255, 1, 1, 255]]]), 2)
    queries = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    values, rows = nearest_references(queries, pool, 3, standardise=True)
    assert rows[:, :2].sort(1).values.tolist() == [[1, 2]] * 3
    torch.testing.assert_close(values.sum(1), torch.tensor([0.6, 1.8, 1.8]))
    assert values[:, 2].tolist() == [0, 0, 0]


def test_standardised_ranking_is_by_standard_deviations_from_the_mean():
    g = torch.Generator().manual_seed(0)
    features, queries = torch.rand(1, 3, 2, 3, generator=g), torch.rand(30, 3, generator=g)
    pool = ReferencePool.from_maps(features, torch.zeros(1, 2, 3), 1)
    rows = nearest_references(queries, pool, 6, standardise=True)[1]
    sims = F.normalize(queries, dim=1) @ pool.features.T
    z = (sims - sims.mean(0)) / sims.std(0, unbiased=False)
    assert torch.equal(rows, z.argsort(1, descending=True))
