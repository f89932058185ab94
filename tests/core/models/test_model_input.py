import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import batches

from amkd_core.errors import BagError, ModalityError
from amkd_core.models.base import Coattention, ModelInput, split_bags


def test_bags_are_laid_one_after_another():
    bags = [torch.full((n, 3), float(n)) for n in (2, 1, 4)]
    batch = ModelInput.from_bags(bags, torch.zeros(3, 5))
    assert batch.lengths == (2, 1, 4)
    assert batch.batch_size == 3
    for bag, back in zip(bags, split_bags(batch.patches, batch.lengths), strict=True):
        assert torch.equal(bag, back)


@settings(max_examples=30, deadline=None)
@given(batches(), st.integers(0, 3))
def test_padding_is_dropped_wherever_it_lies(batch, extra):
    longest = max(batch.lengths) + extra
    padded = torch.full(
        (batch.batch_size, longest, batch.patches.shape[1]), float("nan"), dtype=torch.float64
    )
    mask = torch.zeros(batch.batch_size, longest, dtype=torch.bool)
    for row, bag in enumerate(split_bags(batch.patches, batch.lengths)):
        place = torch.randperm(longest)[: len(bag)].sort().values
        padded[row, place], mask[row, place] = bag, True
    again = ModelInput.from_padded(padded, mask)
    assert again.lengths == batch.lengths
    assert torch.equal(again.patches, batch.patches)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: ModelInput(torch.zeros(3, 2), (3, 0)), BagError, "bag 1 has no patches"),
        (lambda: ModelInput(torch.zeros(0, 2), ()), BagError, "the batch has no bags"),
        (lambda: ModelInput.from_bags([]), BagError, "the batch has no bags"),
        (
            lambda: ModelInput.from_bags([torch.zeros(0, 8)]),
            BagError,
            "bag 0 has no patches; leave such patients out",
        ),
        (lambda: ModelInput(torch.zeros(3, 2), (1, 1)), BagError, "add up to 2 patches, but 3 were given"),
        (lambda: ModelInput(torch.zeros(3), (3,)), BagError, r"\(total_patches, d_encoder\), found \(3,\)"),
        (lambda: ModelInput(torch.zeros(3, 2), (3,), torch.zeros(2, 5)), ModalityError, "one row per bag"),
        (
            lambda: ModelInput.from_padded(torch.zeros(2, 3, 4), torch.ones(2, 3)),
            BagError,
            r"boolean mask .* found \(2, 3, 4\) and torch.float32",
        ),
        (
            lambda: ModelInput.from_padded(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool)),
            BagError,
            "bag 0 has no patches",
        ),
    ],
)
def test_unusable_batches_are_refused(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_a_batch_moves_with_its_genes():
    batch = ModelInput(torch.zeros(3, 2), (3,), torch.zeros(1, 5)).to("cpu", torch.float64)
    assert batch.patches.dtype == batch.genes.dtype == torch.float64
    assert ModelInput(torch.zeros(3, 2), (3,)).to("cpu").genes is None


def test_pathway_importance_is_the_mean_over_a_bags_patches():
    maps = Coattention(
        genes_to_patches=(),
        patches_to_genes=(torch.tensor([[0.2, 0.8], [0.6, 0.4]]), torch.tensor([[1.0, 0.0]])),
    )
    torch.testing.assert_close(maps.pathway_importance, torch.tensor([[0.4, 0.6], [1.0, 0.0]]))
