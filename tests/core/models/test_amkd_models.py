"""The teacher and the student, against slow dense forms and by their invariants."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches
from torch.nn.functional import gelu

from amkd_core.errors import BagError, ConfigError, ModalityError
from amkd_core.models import AmkdStudent, AmkdTeacher, build_model
from amkd_core.models.base import ModelInput, split_bags
from amkd_core.survival.hazard import nll_loss, risk

AMKD = ("amkd_teacher", "amkd_student")
D_ENCODER, DIM, N_GENES, N_PATHWAYS = 6, 8, 15, 5
SMALL = {"d_encoder": D_ENCODER, "dim": DIM}


def make_membership():
    membership = torch.rand(N_PATHWAYS, N_GENES, generator=torch.Generator().manual_seed(0)) < 0.4
    membership[:, 2] = True
    return membership


def make_model(name, seed=0, **config):
    return build_model(name, {**SMALL, **config}, membership=make_membership(), seed=seed).eval().double()


def make_batch(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    bags = [torch.randn(n, D_ENCODER, generator=generator, dtype=torch.float64) for n in lengths]
    return ModelInput.from_bags(
        bags, torch.randn(len(lengths), N_GENES, generator=generator, dtype=torch.float64)
    )


def dense(q, k, v):
    weights = torch.softmax(q @ k.T / math.sqrt(q.shape[1]), dim=1)
    return weights @ v, weights


def layer_norm(x, norm):
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, correction=0)
    return (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


def mlp(x, block):
    return gelu(x @ block[0].weight.T + block[0].bias) @ block[3].weight.T + block[3].bias


def gated(rows, layer):
    mean, variance = rows.mean(dim=1, keepdim=True), rows.var(dim=1, keepdim=True, correction=0)
    x = (rows - mean) / torch.sqrt(variance + layer.norm.eps)
    a, b = (x @ layer.gates.weight.T + layer.gates.bias).chunk(2, dim=1)
    scores = (torch.tanh(a) * torch.sigmoid(b)) @ layer.score.weight[0] + layer.score.bias
    return torch.softmax(scores, dim=0)


def slow_self_attention(z, layer):
    w_q, w_k, w_v = layer.qkv.weight.chunk(3)
    k, v = z @ w_k.T, z @ w_v.T
    attended, _ = dense(z @ w_q.T, k, v)
    return layer_norm(z + attended @ layer.out.weight.T + layer.out.bias, layer.norm), k, v


def slow_patches(model, patches):
    layer = model.patch_projection
    return layer_norm(patches @ layer.linear.weight.T + layer.linear.bias, layer.norm)


def slow_teacher(model, patches, genes):
    """Section 2.3 for one patient, every matrix dense."""
    z_g = layer_norm(model.gene_encoder(genes[None])[0], model.gene_norm[0])
    z_p = slow_patches(model, patches)
    h_g, k_g, v_g = slow_self_attention(z_g, model.gene_attention)
    h_p, k_p, v_p = slow_self_attention(z_p, model.patch_attention)
    h_g2p, a_g2p = dense(z_g @ model.query_g2p.weight.T, k_p, v_p)
    h_p2g, a_p2g = dense(z_p @ model.query_p2g.weight.T, k_g, v_g)
    rows_g, rows_p = torch.cat([h_g, h_g2p], dim=1), torch.cat([h_p2g, h_p], dim=1)
    w_g, w_p = gated(rows_g, model.gene_pool.score), gated(rows_p, model.patch_pool.score)
    pooled = ((w_g[:, None] * rows_g).sum(0) + (w_p[:, None] * rows_p).sum(0)) / 2
    return mlp(pooled[None], model.head)[0], w_p, h_p2g, a_g2p, a_p2g


def slow_student(model, patches):
    """Section 2.4 for one patient, every matrix dense."""
    h_p, _, _ = slow_self_attention(slow_patches(model, patches), model.patch_attention)
    h_tilde = mlp(h_p, model.guidance)
    weights = gated(h_tilde, model.score)
    pooled = (weights[:, None] * torch.cat([h_p, h_tilde], dim=1)).sum(0)
    return mlp(pooled[None], model.head)[0], weights, h_tilde


@pytest.mark.parametrize("lengths", [(1,), (2,), (30,), (4, 4), (3, 1, 17)])
def test_teacher_equals_the_dense_form(lengths):
    model, batch = make_model("amkd_teacher"), make_batch(*lengths)
    output = model(batch, want_maps=True)
    guided = split_bags(output.guided_patches, lengths)
    attention = split_bags(output.patch_attention, lengths)
    for i, bag in enumerate(split_bags(batch.patches, lengths)):
        logits, weights, h_p2g, a_g2p, a_p2g = slow_teacher(model, bag, batch.genes[i])
        torch.testing.assert_close(output.logits[i], logits)
        torch.testing.assert_close(attention[i], weights)
        torch.testing.assert_close(guided[i], h_p2g)
        maps = output.coattention
        torch.testing.assert_close(maps.genes_to_patches[i].double(), a_g2p, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(maps.patches_to_genes[i].double(), a_p2g, rtol=1e-5, atol=1e-6)
        assert maps.genes_to_patches[i].shape == (N_PATHWAYS, len(bag))
        assert maps.patches_to_genes[i].shape == (len(bag), N_PATHWAYS)


@pytest.mark.parametrize("lengths", [(1,), (2,), (30,), (4, 4), (3, 1, 17)])
def test_student_equals_the_dense_form(lengths):
    model, batch = make_model("amkd_student"), make_batch(*lengths)
    output = model(batch)
    for i, bag in enumerate(split_bags(batch.patches, lengths)):
        logits, weights, h_tilde = slow_student(model, bag)
        torch.testing.assert_close(output.logits[i], logits)
        torch.testing.assert_close(split_bags(output.patch_attention, lengths)[i], weights)
        torch.testing.assert_close(split_bags(output.guided_patches, lengths)[i], h_tilde)


def test_mean_pooling_averages_each_modality_by_itself():
    model, batch = make_model("amkd_teacher", pooling="mean"), make_batch(5, 9)
    seen = []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    output = model(batch)
    torch.testing.assert_close(
        output.patch_attention,
        torch.tensor([1 / 5] * 5 + [1 / 9] * 9, dtype=torch.float64),
        rtol=1e-12,
        atol=0,
    )
    h_p = model.patch_attention(model.patch_projection(batch.patches), batch.lengths).hidden
    patch_rows = split_bags(torch.cat([output.guided_patches, h_p], dim=1), batch.lengths)
    z_g = model.gene_norm(model.gene_encoder(batch.genes).flatten(0, 1))
    h_g = model.gene_attention(z_g, (N_PATHWAYS, N_PATHWAYS)).hidden.view(2, N_PATHWAYS, DIM)
    expected_second_half = torch.stack([rows.mean(dim=0)[:DIM] for rows in patch_rows]) + h_g.mean(dim=1)
    torch.testing.assert_close(seen[0][:, :DIM], expected_second_half / 2)


@pytest.mark.parametrize("name", list(AMKD))
@settings(max_examples=20, deadline=None)
@given(batch=batches(d_encoder=D_ENCODER, n_genes=N_GENES), seed=st.integers(0, 1000))
def test_shuffling_patches_leaves_the_risk_and_shuffles_the_maps(name, batch, seed):
    model = make_model(name)
    generator = torch.Generator().manual_seed(seed)
    starts = np.cumsum((0, *batch.lengths[:-1]))
    order = torch.cat(
        [torch.randperm(n, generator=generator) + int(s) for s, n in zip(starts, batch.lengths, strict=True)]
    )
    shuffled = ModelInput(batch.patches[order], batch.lengths, batch.genes)
    before, after = model(batch, want_maps=True), model(shuffled, want_maps=True)
    torch.testing.assert_close(risk(after.logits), risk(before.logits), rtol=0, atol=1e-9)
    torch.testing.assert_close(after.patch_attention, before.patch_attention[order])
    torch.testing.assert_close(after.guided_patches, before.guided_patches[order])
    if after.coattention is not None:
        joined = torch.cat(before.coattention.genes_to_patches, dim=1)[:, order]
        torch.testing.assert_close(torch.cat(after.coattention.genes_to_patches, dim=1), joined)


@pytest.mark.parametrize("name", list(AMKD))
def test_shuffling_a_large_bag_in_single_precision_moves_the_risk_by_less_than_1e_6(name):
    model, batch = make_model(name).float(), make_batch(2000).to("cpu", torch.float32)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    shuffled = ModelInput(batch.patches[order], batch.lengths, batch.genes)
    with torch.no_grad():
        before, after = model(batch), model(shuffled)
    assert (risk(after.logits) - risk(before.logits)).abs().max() < 1e-6
    torch.testing.assert_close(after.patch_attention, before.patch_attention[order], rtol=1e-4, atol=1e-7)
    assert after.patch_attention.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", list(AMKD))
@settings(max_examples=20, deadline=None)
@given(batch=batches(d_encoder=D_ENCODER, n_genes=N_GENES), extra=st.integers(0, 4))
def test_padding_and_splitting_a_batch_change_nothing(name, batch, extra):
    model = make_model(name)
    whole = model(batch)
    bags = split_bags(batch.patches, batch.lengths)
    singles = [model(ModelInput.from_bags([bag], batch.genes[i : i + 1])) for i, bag in enumerate(bags)]
    torch.testing.assert_close(whole.logits, torch.cat([one.logits for one in singles]))
    torch.testing.assert_close(whole.patch_attention, torch.cat([one.patch_attention for one in singles]))
    longest = max(batch.lengths) + extra
    padded = torch.full((len(bags), longest, D_ENCODER), 1e3, dtype=torch.float64)
    mask = torch.arange(longest) < torch.tensor(batch.lengths)[:, None]
    padded[mask] = batch.patches
    again = model(ModelInput.from_padded(padded, mask, batch.genes))
    assert torch.equal(again.logits, whole.logits)


@pytest.mark.parametrize("name", list(AMKD))
@settings(max_examples=20, deadline=None)
@given(batch=batches(d_encoder=D_ENCODER, n_genes=N_GENES))
def test_every_attention_sums_to_one(name, batch):
    output = make_model(name)(batch, want_maps=True)
    for weights in split_bags(output.patch_attention, batch.lengths):
        assert weights.sum().item() == pytest.approx(1, abs=1e-9)
    if output.coattention is not None:
        for weights in (*output.coattention.genes_to_patches, *output.coattention.patches_to_genes):
            torch.testing.assert_close(weights.sum(dim=1), torch.ones(weights.shape[0]))
        torch.testing.assert_close(
            output.coattention.pathway_importance.sum(dim=1), torch.ones(batch.batch_size)
        )


@pytest.mark.parametrize("name", list(AMKD))
def test_every_weight_learns(name):
    model, batch = make_model(name), make_batch(3, 5)
    output = model(batch)
    loss = nll_loss(output.logits, torch.tensor([1, 3]), torch.tensor([True, False]))
    loss.backward()
    still = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Adding one number to all scores of a bag leaves its softmax as it was.
    assert [key for key in still if not key.endswith("score.bias")] == []


@pytest.mark.parametrize("name", list(AMKD))
def test_gradient_of_the_loss_in_patches(name):
    model = make_model(name)
    batch = make_batch(2, 1)
    bins, event = torch.tensor([1, 2]), torch.tensor([True, False])

    def loss(patches):
        return nll_loss(model(ModelInput(patches, batch.lengths, batch.genes)).logits, bins, event)

    assert torch.autograd.gradcheck(loss, (batch.patches.clone().requires_grad_(),))


@pytest.mark.parametrize("name", list(AMKD))
def test_config_and_weights_make_the_same_model_again(name):
    model, batch = make_model(name, seed=3), make_batch(4, 2)
    config = json.loads(json.dumps(model.config))
    again = build_model(name, config, membership=make_membership().numpy(), seed=99).eval().double()
    assert not torch.equal(again(batch).logits, model(batch).logits)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(batch).logits, model(batch).logits)
    assert again.config == model.config


def test_a_seed_fixes_the_weights_and_leaves_the_callers_random_state():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (make_model("amkd_teacher", seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["gene_encoder.gene_weight"], other["gene_encoder.gene_weight"])


def test_dropout_acts_in_training_only():
    model, batch = make_model("amkd_student", dropout=0.5), make_batch(9)
    assert torch.equal(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)


def test_student_needs_no_genes_and_does_not_look_at_them():
    model, batch = make_model("amkd_student"), make_batch(6)
    without = ModelInput(batch.patches, batch.lengths)
    assert torch.equal(model(without).logits, model(batch).logits)
    assert AmkdStudent.predicts_from == {"slide"}
    assert AmkdStudent.learns_from == AmkdTeacher.predicts_from == {"slide", "genes"}


def test_teacher_without_genes_says_so():
    batch = make_batch(6)
    with pytest.raises(ModalityError, match="amkd_teacher predicts from slides and genes, but no genes"):
        make_model("amkd_teacher")(ModelInput(batch.patches, batch.lengths))


@pytest.mark.parametrize("name", list(AMKD))
def test_another_encoders_width_is_refused(name):
    batch = ModelInput(
        torch.zeros(3, 7, dtype=torch.float64), (3,), torch.zeros(1, N_GENES, dtype=torch.float64)
    )
    with pytest.raises(BagError, match=f"{name} reads 6-dimensional patch features, found 7"):
        make_model(name)(batch)


@pytest.mark.parametrize(
    ("name", "config", "sentence"),
    [
        ("amkd_pupil", SMALL, "there is no model 'amkd_pupil'; known are amkd_teacher, amkd_student"),
        ("amkd_student", {"d_encoder": 6, "dims": 8}, "no setting 'dims'; did you mean dim"),
        ("amkd_student", {**SMALL, "zzz": 8}, "no setting 'zzz'; known are d_encoder"),
        ("amkd_student", {"dim": 8}, "needs the setting 'd_encoder'"),
        ("amkd_student", {**SMALL, "dim": 0}, "dim must be a whole number of at least 1, found 0"),
        ("amkd_student", {**SMALL, "n_bins": True}, "n_bins must be a whole number"),
        ("amkd_student", {**SMALL, "dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ("amkd_teacher", {**SMALL, "pooling": "max"}, "pooling must be attention or mean, found 'max'"),
        ("amkd_teacher", {**SMALL, "gene_hidden": [8, 0]}, r"gene_hidden\[1\] must be a whole number"),
    ],
)
def test_unusable_settings_are_refused(name, config, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_model(name, config, membership=make_membership())


def test_teacher_without_membership_is_refused():
    with pytest.raises(ConfigError, match="needs the pathway membership"):
        build_model("amkd_teacher", SMALL)
