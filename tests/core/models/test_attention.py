import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import batches
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from amkd_core.models import ModelInput, build_model
from amkd_core.models.attention import (
    SelfAttention,
    attention,
    attention_weights,
)
from amkd_core.models.base import split_bags
from amkd_core.models.layers import bag_softmax


def plain_attention(q, k, v):
    """The formula, with the whole matrix."""
    scores = q.double() @ k.double().T / math.sqrt(q.shape[1])
    weights = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    weights = weights / weights.sum(dim=1, keepdim=True)
    return weights @ v.double(), weights


def random_rows(*lengths, dim=16, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(n, dim, generator=generator, dtype=dtype) for n in lengths]


@pytest.mark.parametrize(
    ("q_lengths", "k_lengths"),
    [
        ((7,), (7,)),
        ((1,), (1,)),
        ((3, 3), (5, 5)),
        ((4, 1, 9), (2, 30, 1)),
        ((5, 5), (3, 8)),
        ((2, 600), (600, 2)),
    ],
)
def test_attention_equals_the_plain_form_bag_by_bag(q_lengths, k_lengths):
    q, k, v = random_rows(sum(q_lengths), sum(k_lengths), sum(k_lengths))
    found = split_bags(attention(q, k, v, q_lengths, k_lengths), q_lengths)
    parts = zip(*map(split_bags, (q, k, v), (q_lengths, k_lengths, k_lengths)), strict=True)
    for rows, bag in zip(found, parts, strict=True):
        torch.testing.assert_close(rows.double(), plain_attention(*bag)[0], rtol=1e-5, atol=1e-5)


def test_attention_reads_strided_rows():
    packed = random_rows(10, dim=48, dtype=torch.float64)[0]
    q, k, v = packed.chunk(3, dim=1)
    torch.testing.assert_close(attention(q, k, v, (10,), (10,)), plain_attention(q, k, v)[0])


def test_attention_gradient():
    q, k, v = (rows.requires_grad_() for rows in random_rows(5, 7, 7, dim=4, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda *qkv: attention(*qkv, (2, 3), (6, 1)), (q, k, v))


@pytest.mark.parametrize(
    ("n_queries", "n_keys", "dim"),
    [
        (1, 1, 16),
        (1, 40, 16),
        (40, 1, 16),
        (2000, 333, 16),
        (333, 2000, 16),
        (2000, 333, 256),
        (333, 2000, 256),
    ],
)
def test_weights_equal_the_plain_form_and_sum_to_one(n_queries, n_keys, dim):
    """FAULTS 25: every weight that float32 holds in full, from 1.2e-38 on, whatever share of the row it has.

    Scores go to 60 here: in float32 weights were off by 2.3e-5. Weights that are smaller than that are so absolutely.
    """
    q, k = random_rows(n_queries, n_keys, dim=dim)
    weights, expected = attention_weights(q, k), plain_attention(q, k, k)[1]
    assert weights.dtype == torch.float32
    held = expected >= torch.finfo(torch.float32).tiny
    assert (weights[held] / expected[held] - 1).abs().max() < 1e-5
    assert (weights[~held] <= 1.01 * torch.finfo(torch.float32).tiny).all()
    torch.testing.assert_close(weights.double(), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(n_queries))


def test_weights_are_the_same_however_many_rows_are_held_at_a_time(monkeypatch):
    q, k = random_rows(50, 30)
    whole = attention_weights(q, k)
    for scores in (1, 31, 30 * 7):
        monkeypatch.setattr("amkd_core.models.attention._WIDE_SCORES", scores)
        torch.testing.assert_close(attention_weights(q, k), whole, rtol=1e-6, atol=0)
    q.requires_grad_()
    attention_weights(q, k)[:, 0].sum().backward()
    assert q.grad.abs().min() > 0


@pytest.mark.parametrize("spread", [0.01, 1, 30])
def test_patch_weights_of_64k_patches_sum_to_one_as_they_come_from_the_network(spread):
    scores = spread * random_rows(65_536, dim=1)[0][:, 0]
    (found,) = bag_softmax(scores, (65_536,)).split(65_536)
    assert abs(found.double().sum().item() - 1) < 1e-4
    expected = torch.softmax(scores.double(), dim=0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-30)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["amkd_student", "amkd_teacher"])
def test_raw_weights_of_a_network_over_64k_patches_sum_to_one(name):
    """FAULTS 25, before anything makes shares of them; the teacher's co-attention by rows too."""
    n, membership = 65_536, np.ones((3, 5), dtype=bool)
    extra = {"membership": membership} if name == "amkd_teacher" else {}
    model = build_model(name, {"d_encoder": 8, "dim": 8}, seed=1, **extra).eval()
    genes = torch.ones(1, 5) if extra else None
    with torch.inference_mode():
        output = model(ModelInput(random_rows(n, dim=8)[0], (n,), genes), want_maps=True)
    assert output.patch_attention.shape == (n,)
    assert abs(output.patch_attention.double().sum().item() - 1) < 1e-4
    if output.coattention is not None:
        for maps in (output.coattention.genes_to_patches[0], output.coattention.patches_to_genes[0]):
            assert (maps.double().sum(dim=1) - 1).abs().max() < 1e-4


def test_weights_are_float32_even_for_half_precision_rows():
    q, k = (rows.half() for rows in random_rows(5, 9))
    torch.testing.assert_close(attention_weights(q, k).sum(dim=1), torch.ones(5))


@pytest.mark.parametrize(("n_queries", "n_keys"), [(65_536, 48), (48, 65_536)])
def test_weights_of_64k_rows_are_those_of_double_precision(n_queries, n_keys):
    """A softmax goes over 64k keys in single precision; so do the rows that the fused form makes of them."""
    q, k, v = random_rows(n_queries, n_keys, n_keys)
    expected, weights = plain_attention(q, k, v)
    found = attention_weights(q, k)
    torch.testing.assert_close(found.double(), weights, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(n_queries))
    rows = attention(q, k, v, (n_queries,), (n_keys,))
    torch.testing.assert_close(rows.double(), expected, rtol=1e-5, atol=5e-5)


def test_scores_beyond_the_range_of_exp_are_weights_all_the_same():
    q, k, v = random_rows(50, 50, 50)
    found = attention_weights(100 * q, 100 * k)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(50))
    assert torch.isfinite(attention(100 * q, 100 * k, v, (50,), (50,))).all()


@pytest.mark.parametrize("n", [1, 2, 33])
def test_self_attention_equals_torchs_multihead_attention(n):
    torch.manual_seed(0)
    ours = SelfAttention(8).double()
    theirs = nn.MultiheadAttention(8, 1, bias=True, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    z = random_rows(n, dim=8, dtype=torch.float64)[0]
    expected = ours.norm(z + theirs(z[None], z[None], z[None], need_weights=False)[0][0])
    torch.testing.assert_close(ours(z, (n,)).hidden, expected)


@settings(max_examples=25, deadline=None)
@given(batches(d_encoder=8))
def test_bags_do_not_see_each_other(batch):
    torch.manual_seed(0)
    layer = SelfAttention(8).double()
    together = split_bags(layer(batch.patches, batch.lengths).hidden, batch.lengths)
    for rows, bag in zip(together, split_bags(batch.patches, batch.lengths), strict=True):
        torch.testing.assert_close(rows, layer(bag, (len(bag),)).hidden)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("lengths", [(700,), (64, 64), (1, 900, 33)])
def test_on_a_gpu_no_math_fallback_is_taken_and_values_agree(lengths):
    packed = random_rows(sum(lengths), dim=3 * 256)[0].to("cuda", torch.bfloat16)
    q, k, v = (rows.requires_grad_() for rows in packed.chunk(3, dim=1))
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        rows = attention(q, k, v, lengths, lengths)
        rows.float().sum().backward()
    reference = torch.cat(
        [
            plain_attention(*bag)[0]
            for bag in zip(*(split_bags(x.cpu(), lengths) for x in (q, k, v)), strict=True)
        ]
    )
    torch.testing.assert_close(rows.cpu().double(), reference, rtol=3e-2, atol=3e-2)
