"""Sizes and counts that need no clock: parameters, operations, and no patches-by-patches matrix."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from amkd_core.models import build_model
from amkd_core.models.base import ModelInput
from amkd_core.survival.hazard import nll_loss

BUDGET = 803_000  # the paper's table 7


class Ledger(TorchDispatchMode):
    """Counts operations that are not views, and keeps the largest tensor any of them made."""

    def __init__(self):
        super().__init__()
        self.operations = []
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations.append(str(func))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor):
                self.largest = max(self.largest, value.numel())
        return out


def make_membership(n_pathways=331, n_genes=4999):
    generator = torch.Generator().manual_seed(0)
    membership = torch.rand(n_pathways, n_genes, generator=generator) < 0.006
    membership[:, 0] = True
    return membership


def spend(name, n_patches, **config):
    model = build_model(name, config, membership=make_membership(20, 60)).train()
    batch = ModelInput(torch.randn(n_patches, config["d_encoder"]), (n_patches,), torch.randn(1, 60))
    bins, event = torch.tensor([1]), torch.tensor([True])
    with Ledger() as ledger:
        nll_loss(model(batch).logits, bins, event).backward()
    return ledger


def test_student_stays_within_the_papers_parameters():
    model = build_model("amkd_student", {"d_encoder": 1024, "dim": 256, "n_bins": 4})
    assert sum(p.numel() for p in model.parameters()) == 802_125
    assert BUDGET > 802_125


def test_teachers_sparse_encoder_costs_its_memberships_not_a_dense_matrix():
    membership = make_membership()
    model = build_model("amkd_teacher", {"d_encoder": 1024}, membership=membership)
    encoder = sum(p.numel() for p in model.gene_encoder.parameters())
    assert encoder == int(membership.sum()) * 32 + 331 * (32 + 32 * 256 + 256)
    assert sum(p.numel() for p in model.parameters()) - encoder == 1_184_134


@pytest.mark.parametrize(("name", "limit"), [("amkd_teacher", 200), ("amkd_student", 120)])
def test_forward_and_backward_stay_within_their_operations(name, limit):
    ledger = spend(name, 50, d_encoder=32, dim=16)
    assert len(ledger.operations) <= limit, len(ledger.operations)


@pytest.mark.parametrize("name", ["amkd_teacher", "amkd_student"])
def test_no_matrix_of_patches_by_patches_is_made(name):
    n = 2000
    ledger = spend(name, n, d_encoder=32, dim=16)
    assert ledger.largest <= n * 128  # the widest row holds the 2 x 64 gates of pooling, never n
