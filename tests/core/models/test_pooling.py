import pytest
import torch
from hypothesis import given, settings
from strategies import batches

from amkd_core.models import ModelInput, build_model
from amkd_core.models.base import split_bags
from amkd_core.models.layers import AttentionPool, GatedScore, bag_softmax, pool_rows, uniform_weights


def test_gated_score_is_the_published_formula():
    torch.manual_seed(0)
    layer = GatedScore(5, 3).double()
    rows = torch.randn(7, 5, dtype=torch.float64)
    weight, bias = layer.gates.weight, layer.gates.bias
    x = (rows - rows.mean(dim=1, keepdim=True)) / torch.sqrt(
        rows.var(dim=1, keepdim=True, correction=0) + 1e-5
    )
    signal, gate = x @ weight[:3].T + bias[:3], x @ weight[3:].T + bias[3:]
    expected = (torch.tanh(signal) / (1 + torch.exp(-gate))) @ layer.score.weight[0] + layer.score.bias
    torch.testing.assert_close(layer(rows), expected)


@settings(max_examples=30, deadline=None)
@given(batches())
def test_weights_sum_to_one_within_each_bag(batch):
    for weights in (
        bag_softmax(batch.patches[:, 0], batch.lengths),
        uniform_weights(batch.lengths, batch.patches),
    ):
        for bag in split_bags(weights, batch.lengths):
            assert bag.sum().item() == pytest.approx(1, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(batches())
def test_uniform_weights_give_each_bags_mean(batch):
    pooled, _ = AttentionPool(6, None)(batch.patches, batch.lengths)
    expected = torch.stack([bag.mean(dim=0) for bag in split_bags(batch.patches, batch.lengths)])
    torch.testing.assert_close(pooled, expected)


def test_pooling_of_a_case_worked_by_hand():
    rows = torch.tensor([[1.0, 0.0], [3.0, 4.0], [10.0, 20.0]])
    pooled = pool_rows(rows, torch.tensor([0.25, 0.75, 1.0]), (2, 1))
    assert pooled.tolist() == [[2.5, 3.0], [10.0, 20.0]]


def test_the_mean_owns_no_weights():
    assert sum(p.numel() for p in AttentionPool(6, None).parameters()) == 0


def test_standardised_features_make_the_model_blind_to_their_units() -> None:
    plain = build_model("amkd_student", {"d_encoder": 6, "dim": 8}, seed=3).eval()
    scaled = build_model("amkd_student", {"d_encoder": 6, "dim": 8}, seed=3).eval()
    patches = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    mean, scale = torch.arange(6.0), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 0.0])
    scaled.standardise_features(mean, scale)
    units = torch.where(scale > 0, scale, torch.ones(6))
    first = plain(ModelInput(patches, (9,))).logits
    second = scaled(ModelInput(patches * units + mean, (9,))).logits
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
