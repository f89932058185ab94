import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from amkd_core.errors import ConfigError, ModalityError
from amkd_core.models.pathway_encoder import PathwayEncoder

N_PATHWAYS, N_GENES = 12, 40


def make_membership(seed=0, n_pathways=N_PATHWAYS, n_genes=N_GENES):
    generator = torch.Generator().manual_seed(seed)
    membership = torch.rand(n_pathways, n_genes, generator=generator) < 0.2
    membership[0] = False
    membership[0, 7] = True  # a pathway of one gene
    membership[1:, 3] = True
    return membership


def make_encoder(hidden=(5,), seed=1):
    torch.manual_seed(seed)
    encoder = PathwayEncoder(make_membership(), 6, hidden).double()
    with torch.no_grad():
        for bias in encoder.biases:
            nn.init.normal_(bias)
    return encoder


def slow_tokens(encoder, genes):
    """Each pathway by itself, from its member genes in order."""
    tokens, first = [], 0
    for row, members in enumerate(encoder.membership):
        index = members.nonzero().flatten()
        weight = encoder.gene_weight[first : first + len(index)]
        first += len(index)
        token = genes[:, index] @ weight + encoder.biases[0][row]
        for block, bias in zip(encoder.block_weights, list(encoder.biases)[1:], strict=True):
            token = gelu(token) @ block[row] + bias[row]
        tokens.append(token)
    return torch.stack(tokens, dim=1)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
@pytest.mark.parametrize("batch", [1, 4])
def test_tokens_equal_a_loop_over_pathways(hidden, batch):
    encoder = make_encoder(hidden)
    genes = torch.randn(batch, N_GENES, dtype=torch.float64)
    tokens = encoder(genes)
    assert tokens.shape == (batch, N_PATHWAYS, 6)
    torch.testing.assert_close(tokens, slow_tokens(encoder, genes), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_a_gene_outside_a_pathway_leaves_its_token_exactly_as_it_was(hidden):
    encoder = make_encoder(hidden)
    genes = torch.randn(2, N_GENES, dtype=torch.float64)
    before = encoder(genes)
    for gene in range(N_GENES):
        changed = genes.clone()
        changed[:, gene] = 1e6
        moved = (encoder(changed) != before).any(dim=2).any(dim=0)
        assert torch.equal(moved, encoder.membership[:, gene]), f"gene {gene}"


def test_permuting_pathways_permutes_rows_exactly():
    order = torch.randperm(N_PATHWAYS, generator=torch.Generator().manual_seed(2))
    one = make_encoder((5,))
    other = PathwayEncoder(one.membership[order], 6, (5,)).double()
    sizes = one.membership.sum(dim=1).tolist()
    with torch.no_grad():
        blocks = one.gene_weight.split(sizes)
        other.gene_weight.copy_(torch.cat([blocks[i] for i in order.tolist()]))
        for mine, theirs in zip(
            [*other.biases, *other.block_weights], [*one.biases, *one.block_weights], strict=True
        ):
            mine.copy_(theirs[order])
    genes = torch.randn(3, N_GENES, dtype=torch.float64)
    assert torch.equal(other(genes), one(genes)[:, order])


def test_gradient_of_weights_and_genes():
    encoder = make_encoder((3,))
    genes = torch.randn(2, N_GENES, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encoder, (genes,))

    def of_weight(weight):
        return torch.func.functional_call(encoder, {"gene_weight": weight}, (genes.detach(),))

    assert torch.autograd.gradcheck(of_weight, (encoder.gene_weight.detach().clone().requires_grad_(),))


def test_weights_begin_at_the_scale_of_each_pathways_own_size():
    membership = torch.zeros(2, 400, dtype=torch.bool)
    membership[0, :4], membership[1] = True, True
    torch.manual_seed(0)
    small, large = PathwayEncoder(membership, 64, ()).gene_weight.split([4, 400])
    assert 0.45 < small.abs().max() <= 0.5
    assert 0.049 < large.abs().max() <= 0.05


def test_a_case_of_one_gene_and_one_pathway():
    encoder = PathwayEncoder(torch.ones(1, 1, dtype=torch.bool), 3, ())
    with torch.no_grad():
        encoder.gene_weight.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        encoder.biases[0].fill_(0.5)
    assert encoder(torch.tensor([[2.0]])).tolist() == [[[2.5, 4.5, 6.5]]]


def test_membership_travels_with_the_weights_and_another_is_refused():
    encoder = make_encoder()
    state = encoder.state_dict()
    assert torch.equal(state["membership"], encoder.membership)
    PathwayEncoder(make_membership(), 6, (5,)).double().load_state_dict(state)
    flipped = make_membership()
    flipped[3] = flipped[3].roll(1)  # as many genes, but others
    for other in (flipped, make_membership(n_pathways=5)):
        with pytest.raises(ConfigError, match="belong to another set of pathways"):
            PathwayEncoder(other, 6, (5,)).load_state_dict(state)


@pytest.mark.parametrize(
    ("membership", "sentence"),
    [
        (torch.ones(3, 4), "boolean matrix .* found torch.float32"),
        (torch.ones(3, dtype=torch.bool), r"boolean matrix .* \(3,\)"),
        (torch.zeros(0, 4, dtype=torch.bool), "boolean matrix"),
        (torch.tensor([[True, False], [False, False]]), "1 of 2 pathways have no gene .*row 1"),
    ],
)
def test_unusable_memberships_are_refused(membership, sentence):
    with pytest.raises(ConfigError, match=sentence):
        PathwayEncoder(membership, 4)


def test_another_number_of_genes_is_refused():
    with pytest.raises(ModalityError, match="defined on 40 genes, found 39 per patient"):
        make_encoder()(torch.zeros(1, 39, dtype=torch.float64))


def test_the_papers_pathways_equal_a_loop_over_them(shared):
    lines = (shared / "data" / "pathways.gmt").read_text().splitlines()
    sets = [line.split("\t")[2:] for line in lines]
    column = {gene: i for i, gene in enumerate(sorted({gene for members in sets for gene in members}))}
    membership = torch.zeros(len(sets), len(column), dtype=torch.bool)
    for row, members in enumerate(sets):
        membership[row, [column[gene] for gene in members]] = True
    assert membership.shape == (331, 4999)
    torch.manual_seed(0)
    encoder = PathwayEncoder(membership, 16, (4,)).double()
    assert encoder.gene_weight.shape == (9745, 4)
    genes = torch.randn(2, 4999, dtype=torch.float64)
    torch.testing.assert_close(encoder(genes), slow_tokens(encoder, genes), rtol=1e-11, atol=1e-11)
