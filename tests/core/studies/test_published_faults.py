"""Faults of the published implementations that ours must not have, each by what it would change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cohort_fixtures import disturbed

from amkd_core.bag_file import read_bag
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import Cohort, read_cohort
from amkd_core.cohort.folds import make_folds
from amkd_core.models import ModelInput
from amkd_core.training.config import load_config
from amkd_core.training.inputs import Inputs, make_inputs, read_bags
from amkd_core.training.passes import batch_input
from amkd_core.training.recipes import Recipe, train_recipe

QUICK = (
    "folds=2", "model.dim=8", "teacher.epochs=3", "student.epochs=3", "student.patience=2",
    "student.learning_rate=0.01", "distill.inner_folds=2", "threads=1",
)  # fmt: skip
# One of slides, one of genes, one of both in two stages; AMKD itself is watched in tests/core/training/test_leak.py.
WATCHED = ("abmil", "mlp", "pomp_style")


@pytest.fixture(scope="module")
def config():
    return load_config(None, QUICK)


@pytest.fixture(scope="module")
def cohort(tiny_toml: Path) -> Cohort:
    return read_cohort(tiny_toml)


def trained(inputs: Inputs, config, name: str, folder: Path):
    """What was fitted on the fold, and every weight of the recipe's networks."""
    networks = drain(train_recipe(Recipe(name, name), inputs, config, folder))
    weights = {
        f"{model}.{key}": value for model, net in networks.items() for key, value in net.state_dict().items()
    }
    return inputs.fitted, weights


@pytest.mark.parametrize("name", WATCHED)
def test_no_epoch_bin_or_scale_is_chosen_on_test_patients(
    name: str, cohort: Cohort, config, tmp_path: Path
) -> None:
    """MCAT, SurvPath and others cut bins on all patients, and report the epoch that is best on the reported fold."""
    split = make_folds(cohort, n_folds=2, seed=0)[0]
    bags = read_bags(cohort, cohort.file.bags)
    fitted, weights = trained(make_inputs(cohort, bags, split, config), config, name, tmp_path / "plain")
    other, other_bags = disturbed(cohort, bags, split.test)
    fitted_there, weights_there = trained(
        make_inputs(other, other_bags, split, config), config, name, tmp_path / "moved"
    )
    assert fitted_there.time_bins == fitted.time_bins
    assert np.array_equal(fitted_there.scaling.mean, fitted.scaling.mean)
    assert torch.equal(fitted_there.feature_mean, fitted.feature_mean)
    assert weights.keys() == weights_there.keys()
    for key, value in weights.items():
        assert torch.equal(value, weights_there[key]), key


def test_genes_follow_their_patient_and_not_their_row(cohort: Cohort, config) -> None:
    """SurvPath's loader takes the i-th row of the genes for the i-th slide."""
    split = make_folds(cohort, n_folds=2, seed=0)[0]
    bags = read_bags(cohort, cohort.file.bags)
    table = cohort.expression
    order = np.random.default_rng(0).permutation(len(table.patients))
    shuffled = replace(
        table, patients=tuple(table.patients[i] for i in order), values=np.asarray(table.values)[order]
    )
    assert shuffled.patients != table.patients
    plain = make_inputs(cohort, bags, split, config)
    moved = make_inputs(replace(cohort, expression=shuffled), bags, split, config)
    for part in ("train", "validation", "test"):
        for one, other in zip(getattr(plain, part), getattr(moved, part), strict=True):
            assert one.patient_id == other.patient_id
            assert torch.equal(one.genes, other.genes)


def test_slides_follow_their_patient_and_not_their_row(cohort: Cohort, config) -> None:
    split = make_folds(cohort, n_folds=2, seed=0)[0]
    turned = replace(cohort, patients=cohort.patients[::-1])
    inputs = make_inputs(turned, read_bags(turned, cohort.file.bags), split, config)
    for example in inputs.test:
        bag = read_bag(cohort.file.bags / f"{example.patient_id}s.h5")
        assert np.array_equal(example.patches.numpy(), bag.features)


def test_a_batch_holds_the_patches_of_its_bags_and_no_padding(cohort: Cohort, config) -> None:
    """SurvPath's bags are filled up with zeros, which then take part in every softmax and mean."""
    split = make_folds(cohort, n_folds=2, seed=0)[0]
    examples = make_inputs(cohort, read_bags(cohort, cohort.file.bags), split, config).train[:6]
    sizes = tuple(len(example.patches) for example in examples)
    assert len(set(sizes)) > 1
    packed = batch_input(examples, "cpu")
    assert packed.lengths == sizes
    assert torch.equal(packed.patches, torch.cat([example.patches for example in examples]))
    padded = torch.nn.utils.rnn.pad_sequence([example.patches for example in examples], batch_first=True)
    mask = torch.arange(padded.shape[1])[None, :] < torch.tensor(sizes)[:, None]
    again = ModelInput.from_padded(padded, mask)
    assert again.lengths == sizes
    assert torch.equal(again.patches, packed.patches)
