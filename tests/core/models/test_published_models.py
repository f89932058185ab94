"""The models that AMKD is compared with: published sizes, packed bags, modalities, and whether they learn."""

import numpy as np
import pytest
import torch

from amkd_core.errors import ConfigError, ModalityError
from amkd_core.models import MODELS, READS_SLIDES, ModelInput, build_model
from amkd_core.models.gene_groups import merge_rows
from amkd_core.models.ghanet import top_softmax
from amkd_core.models.nystrom import nystrom_attention, pseudo_inverse, segment_means
from amkd_core.survival.hazard import nll_loss, risk
from amkd_core.survival.metrics import concordance_index

PUBLISHED = {
    "survpath": 24_768_068,
    "mcat": 3_951_622,
    "transmil": 2_673_172,
    "dsmil": 168_200,
    "abmil": 461_061,
    "snn": 1_346_820,
    "mlp": 161_188,
    "ghanet": 16_826_630,
    "amkd_student": 803_000,
}
GROUP_SIZES = (53, 173, 216, 252, 387, 200)
GENES, PATHWAYS, MEMBERSHIPS = 4999, 331, 9745
BASELINES = sorted(set(MODELS) - {"amkd_student", "amkd_teacher"})
D, SMALL_GENES = 8, 12


def membership(n_genes=SMALL_GENES, n_pathways=7):
    generator = torch.Generator().manual_seed(0)
    found = torch.rand(n_pathways, n_genes, generator=generator) < 0.4
    found[:, 1] = True
    return found


def paper_membership():
    """As many memberships as the 331 pathways have; only their number decides how many weights there are."""
    sizes = torch.full((PATHWAYS,), MEMBERSHIPS // PATHWAYS)
    sizes[: MEMBERSHIPS - int(sizes.sum())] += 1
    return torch.arange(GENES)[None, :] < sizes[:, None]


def paper_groups():
    groups, start = torch.zeros(6, GENES, dtype=torch.bool), 0
    for row, size in enumerate(GROUP_SIZES):
        groups[row, start : start + size] = True
        start += size
    return groups


def settings(name, d_encoder=D):
    return {"d_encoder": d_encoder} if READS_SLIDES[name] else {}


def make(name, seed=0, **config):
    return build_model(name, {**settings(name), **config}, membership=membership(), seed=seed)


def batch(*lengths, seed=0, d=D, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    bags = [torch.randn(n, d, generator=generator, dtype=dtype) for n in lengths]
    return ModelInput.from_bags(
        bags, torch.randn(len(lengths), SMALL_GENES, generator=generator, dtype=dtype)
    )


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_model_has_the_published_number_of_weights(name):
    rows = paper_groups() if name in ("mcat", "ghanet") else paper_membership()
    found = count(build_model(name, settings(name, 1024), membership=rows))
    assert found == pytest.approx(PUBLISHED[name], rel=0.02)
    if name == "amkd_student":
        assert found <= 803_000
    else:
        assert found == PUBLISHED[name]


def test_sparse_front_end_holds_live_weights_only():
    model = build_model("smlp", {}, membership=paper_membership())
    assert count(model.body[0]) == 128_272
    assert count(model) == 128_272 + 7_018_528


def test_published_widths_of_the_concatenation():
    """1,013,829 outside the masked front, which the published code stores as 27 million weights."""
    model = build_model("abmil_cat", {"d_encoder": 1024}, membership=paper_membership())
    assert count(model) == 1_013_829 + 128_272


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("n_patches", [1, 100])
def test_forward_and_backward(name, n_patches):
    model = make(name).train()
    output = model(batch(n_patches, 3))
    loss = output.logits.sum() + (0 if output.auxiliary_loss is None else output.auxiliary_loss)
    loss.backward()
    assert output.logits.shape == (2, 4)
    assert torch.isfinite(output.logits).all()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_forward_and_backward_at_15000_patches_of_full_width(name):
    rows = paper_membership()
    model = build_model(name, settings(name, 1024), membership=rows).train()
    generator = torch.Generator().manual_seed(0)
    inputs = ModelInput(
        torch.randn(15_000, 1024, generator=generator), (15_000,), torch.randn(1, GENES, generator=generator)
    )
    output = model(inputs)
    nll_loss(output.logits, torch.tensor([1]), torch.tensor([True])).backward()
    assert torch.isfinite(output.logits).all()


@pytest.mark.parametrize("name", BASELINES)
def test_a_packed_bag_gives_what_it_gives_alone(name):
    model = make(name).eval().double()
    packed = batch(1, 30, 5, dtype=torch.float64)
    together = model(packed).logits
    for index, bag in enumerate(packed.patches.split(list(packed.lengths))):
        alone = model(ModelInput.from_bags([bag], packed.genes[index : index + 1])).logits
        torch.testing.assert_close(alone[0], together[index])


@pytest.mark.parametrize("name", BASELINES)
def test_padding_changes_nothing(name):
    model = make(name).eval().double()
    packed = batch(9, 4, dtype=torch.float64)
    padded, mask = torch.full((2, 20, D), 7.0, dtype=torch.float64), torch.zeros(2, 20, dtype=torch.bool)
    for index, bag in enumerate(packed.patches.split(list(packed.lengths))):
        padded[index, : len(bag)], mask[index, : len(bag)] = bag, True
    torch.testing.assert_close(
        model(ModelInput.from_padded(padded, mask, packed.genes)).logits, model(packed).logits
    )


@pytest.mark.parametrize("name", BASELINES)
def test_the_order_of_patches_matters_for_transmil_alone(name):
    model = make(name).eval().double()
    inputs = batch(40, dtype=torch.float64)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    shuffled = ModelInput(inputs.patches[order], inputs.lengths, inputs.genes)
    one, other = model(inputs), model(shuffled)
    if name.startswith("transmil"):
        assert not torch.allclose(one.logits, other.logits, atol=1e-6)
        return
    torch.testing.assert_close(one.logits, other.logits)
    if one.patch_attention is not None:
        torch.testing.assert_close(one.patch_attention[order], other.patch_attention)


@pytest.mark.parametrize("name", BASELINES)
def test_maps_sum_to_one_within_each_bag(name):
    output = make(name).eval()(batch(12, 5), want_maps=True)
    if output.patch_attention is None:
        assert name in {"snn", "mlp", "smlp", "transmil", "transmil_cat", "pomp_style"}
        return
    for weights in output.patch_attention.split([12, 5]):
        assert float(weights.detach().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_missing_modality_is_an_error_that_names_it(name):
    model = make(name).eval()
    whole = batch(5, 3)
    if "genes" in model.predicts_from:
        with pytest.raises(ModalityError, match=rf"{name} predicts from .*genes.* no genes were given"):
            model(ModelInput(whole.patches, whole.lengths))
    else:
        model(ModelInput(whole.patches, whole.lengths))
    if "slide" in model.predicts_from:
        with pytest.raises(ModalityError, match=rf"{name} predicts from .*slides.* no slides were given"):
            model(ModelInput.from_genes(whole.genes))
    else:
        assert model(ModelInput.from_genes(whole.genes)).logits.shape == (2, 4)


def test_ghanet_learns_from_genes_that_it_does_not_need_later():
    model, whole = make("ghanet"), batch(5, 3)
    with pytest.raises(ModalityError, match="learns from slides and genes, but no genes were given"):
        model.train()(ModelInput(whole.patches, whole.lengths))
    assert model.train()(whole).auxiliary_loss > 0
    assert model.eval()(whole).auxiliary_loss is None
    torch.testing.assert_close(
        model.eval()(whole).logits, model.eval()(ModelInput(whole.patches, whole.lengths)).logits
    )


@pytest.mark.parametrize("name", ["smlp", "mcat", "ghanet", "abmil_cat", "snn"])
def test_other_genes_than_the_models_are_refused(name):
    model, whole = make(name).train(), batch(5)
    with pytest.raises(ModalityError, match=f"{SMALL_GENES} genes, found 3"):
        model(ModelInput(whole.patches, whole.lengths, whole.genes[:, :3]))


def test_gene_models_need_the_membership():
    with pytest.raises(ConfigError, match="survpath needs the pathway membership"):
        build_model("survpath", {"d_encoder": D})


@pytest.mark.parametrize("name", sorted(MODELS))
def test_config_rebuilds_the_model_and_base_logits_start_it(name):
    model = make(name, n_bins=3)
    again = build_model(name, model.config, membership=membership(), seed=5)
    again.load_state_dict(model.state_dict())
    base = torch.tensor([-2.0, -1.0, 0.5])
    for other in (model, again):
        other.start_at(base)
    inputs = batch(6, 2)
    torch.testing.assert_close(model.eval()(inputs).logits, again.eval()(inputs).logits)
    torch.testing.assert_close(model.head[-1].bias.detach(), base)


@pytest.mark.parametrize("name", [name for name in BASELINES if READS_SLIDES[name]])
def test_features_are_standardised_by_what_training_found(name):
    model, inputs = make(name).eval().double(), batch(6, 3, dtype=torch.float64)
    before = model(inputs).logits
    mean, scale = torch.full((D,), 2.0), torch.full((D,), 3.0)
    model.standardise_features(mean, scale)
    moved = ModelInput(inputs.patches * 3 + 2, inputs.lengths, inputs.genes)
    torch.testing.assert_close(model(moved).logits, before)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_model_tells_four_patients_apart(name):
    """Overfitting: the order of four deaths is learnt to a C-index of 1."""
    model = make(name, dropout=0.0).train()
    inputs, bins = batch(6, 9, 4, 7), torch.tensor([0, 1, 2, 3])
    event = torch.ones(4, dtype=torch.bool)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    months = np.array([5.0, 15.0, 25.0, 35.0])
    for _ in range(150):
        optimiser.zero_grad()
        output = model(inputs)
        streams = output.stream_logits or (output.logits,)
        sum(nll_loss(logits, bins, event) for logits in streams).backward()
        optimiser.step()
        if concordance_index(months, event.numpy(), risk(model.eval()(inputs).logits).detach().numpy()) == 1:
            return
        model.train()
    pytest.fail(f"{name} did not learn the order of four patients")


def test_dsmil_predicts_the_mean_of_its_streams_and_follows_the_critical_patch():
    model, inputs = make("dsmil").eval(), batch(20)
    output = model(inputs)
    torch.testing.assert_close(output.logits, torch.stack(output.stream_logits).mean(dim=0))
    scores = model.encoder.instance(inputs.patches)
    torch.testing.assert_close(output.stream_logits[1][0], scores.max(dim=0).values)
    for other in (model, make("dsmil_cat")):
        other.start_at(torch.tensor([-3.0, -2.0, -1.0, 0.0]))
        torch.testing.assert_close(other.encoder.instance.bias.detach(), other.head[-1].bias.detach())


def test_survpath_equals_its_dense_masked_form():
    """No patch attends to a patch: softmax over all tokens with those scores at minus infinity."""
    model, inputs = make("survpath").eval().double(), batch(11, dtype=torch.float64)
    tokens = model.after_layer(model.pathways(inputs.genes))[0]
    rows = torch.cat([tokens, model.project(inputs.patches)])
    q, k, v = model.qkv(model.norm(rows)).chunk(3, dim=-1)
    scores = q @ k.T / q.shape[1] ** 0.5
    scores[len(tokens) :, len(tokens) :] = -torch.inf
    done = model.last_norm(model.feed_forward(torch.softmax(scores, dim=1) @ v))
    pooled = torch.cat([done[: len(tokens)].mean(dim=0), done[len(tokens) :].mean(dim=0)])
    torch.testing.assert_close(model(inputs).logits[0], model.head(pooled))


def test_pathway_networks_of_survpath_read_their_own_genes_only():
    model, inputs = make("survpath").eval(), batch(3)
    genes = inputs.genes.clone().requires_grad_()
    model.pathways(genes)[0, 2].sum().backward()
    assert torch.equal(genes.grad[0] != 0, membership()[2])


def test_nystrom_attention_is_exact_when_it_may_be_and_near_when_keys_repeat():
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 40, 8, generator=generator, dtype=torch.float64)
    exact = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, dim=-1) @ v
    torch.testing.assert_close(nystrom_attention(q, k, v, 64), exact)
    q, k = (rows[:, :10].repeat_interleave(4, dim=1) for rows in (q, k))  # ten kinds of rows, ten landmarks
    exact = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, dim=-1) @ v
    assert (nystrom_attention(q, k, v, 10) - exact).abs().max() < 0.05 * exact.abs().max()


def test_segment_means_need_no_padding():
    rows = torch.arange(7, dtype=torch.float64).view(1, 7, 1)
    found = segment_means(rows, 3).flatten().tolist()
    assert found == [1.0, 3.5, 5.5]


def test_pseudo_inverse_inverts_each_head_by_itself():
    matrix = torch.softmax(3 * torch.eye(5, dtype=torch.float64), dim=-1).expand(2, 5, 5).clone()
    matrix[1] *= 9
    found = pseudo_inverse(matrix)
    torch.testing.assert_close(found, torch.linalg.inv(matrix), atol=1e-3, rtol=1e-3)
    alone = pseudo_inverse(matrix[:1], iterations=2)
    torch.testing.assert_close(pseudo_inverse(matrix, iterations=2)[:1], alone)


def test_positions_of_transmil_reach_the_prediction_and_spare_the_class_token():
    model, inputs = make("transmil").eval(), batch(30)
    before = model(inputs).logits
    rows = torch.randn(1 + 36, 512, generator=torch.Generator().manual_seed(0))
    placed = model.encoder.positions(rows)
    assert torch.equal(placed[0], rows[0])
    assert not torch.allclose(placed[1:], rows[1:])
    with torch.no_grad():
        for convolution in model.encoder.positions.convolutions:
            convolution.weight.mul_(5)
    assert not torch.allclose(model(inputs).logits, before, atol=1e-5)


def test_groups_merge_pathways_in_order():
    rows = membership()
    assert torch.equal(merge_rows(rows, 7), rows)
    merged = merge_rows(rows, 3)
    assert torch.equal(merged[0], rows[:3].any(dim=0))
    assert len(merge_rows(rows[:2], 6)) == 2


def test_top_softmax_keeps_the_highest_fifth():
    scores = torch.arange(10.0).view(1, 10)
    weights = top_softmax(scores)
    assert (weights > 0).flatten().tolist() == [False] * 8 + [True, True]
    assert float(weights.sum()) == pytest.approx(1)


def pre_trained(steps, seed=0):
    """Model, batch and its losses of pre-training, step by step."""
    model = make("pomp_style", dropout=0.0, seed=seed).train()
    model.pretraining = True
    inputs = batch(6, 4, 5, 7)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    torch.manual_seed(seed)  # of what is hidden
    for _ in range(steps):
        optimiser.zero_grad()
        loss = model(inputs).auxiliary_loss
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return model, inputs, losses


@pytest.mark.slow
def test_pomp_style_pre_training_tells_true_pairs_from_false_and_hidden_pathways():
    model, inputs, losses = pre_trained(60)
    assert np.mean(losses[-5:]) < losses[0] / 2
    hidden = model.eval()._hidden(4)
    shown = model._genes(inputs.genes, hidden)
    bags = [model._slide(bag) for bag in model.patch_projection(inputs.patches).split(list(inputs.lengths))]
    own, other = (model.matching(model._joined(bags, rows)[:, 0]) for rows in (shown, shown.roll(1, dims=0)))
    assert own.mean() > other.mean() + 1  # in logits
    told = float(model._masked_loss(model._joined(bags, shown), inputs.genes, hidden).detach())
    means = inputs.genes @ membership().float().T / membership().sum(dim=1)
    assert told < float(means[hidden].square().mean()) / 2  # half of what the training mean would miss by
    alone = ModelInput(inputs.patches[:6], (6,), inputs.genes[:1])
    first = model._joined(bags[:1], shown[:1])
    expected = 3 * model._masked_loss(first, inputs.genes[:1], hidden[:1])
    torch.testing.assert_close(model(alone).auxiliary_loss, expected)  # nobody to be told from
    model.pretraining = False
    assert model(inputs).auxiliary_loss is None


def test_what_pomp_style_hides_reaches_no_token_and_is_a_third():
    model = make("pomp_style")
    hidden = model.train()._hidden(500)
    assert (hidden.sum(dim=1) == 2).all()  # of seven
    assert (hidden.float().mean(dim=0) > 0.15).all()  # each in its turn
    assert torch.equal(model.eval()._hidden(2), model._hidden(2))  # validation draws nothing
    hidden = torch.zeros(2, 7, dtype=torch.bool)
    hidden[:, 3] = True
    genes = torch.randn(2, SMALL_GENES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model._genes(genes, hidden).sum().backward()
    assert not genes.grad[:, membership()[3]].any()
    assert genes.grad[:, membership().any(dim=0) & ~membership()[3]].all()
