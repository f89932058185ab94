"""Every switch of METHOD.md that the settings name reaches what it is to change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_fixtures import QUICK

from amkd_core.cli.terminal import drain
from amkd_core.cohort.pathways import GeneSet
from amkd_core.models import READS_GROUPS, ModelInput, ModelOutput
from amkd_core.models.student import AmkdStudent
from amkd_core.training.config import load_config
from amkd_core.training.distillation import (
    FORMS,
    PathwayTargets,
    TeacherTargets,
    distillation_loss,
    gene_enhancement_loss,
    redundancy_reduction_loss,
    survival_ratio,
)
from amkd_core.training.fit import Stage, _drawn, train_epoch
from amkd_core.training.inputs import Example, make_inputs, with_targets
from amkd_core.training.objectives import distillation_objective, likelihood_losses, survival_objective
from amkd_core.training.stages import attach_targets, fresh_model, train_student, train_teacher

SWITCHES = [
    "distill.alpha=0.25", "distill.alpha=1", "distill.guidance_direction=teacher_to_student",
    "distill.tau_features=0.5", "distill.tau_logits=2", "distill.guidance_weight=0.5", "distill.distillation_weight=4",
    "distill.pathway_weight=2",
    *(f"distill.arr={form}" for form in FORMS),
]  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_of_the_objective_is_in_the_students_loss(switch: str, inputs) -> None:
    patients = inputs[-1].train[:4]
    lengths = tuple(len(item.patches) for item in patients)
    generator = torch.Generator().manual_seed(0)
    logits, others = torch.randn(2, 4, 4, generator=generator)
    own, guided = torch.randn(2, sum(lengths), 8, generator=generator)
    losses = torch.rand(4, generator=generator) + 0.5
    told, activities, shares = torch.rand(3, 4, 5, generator=generator)
    rows = torch.split(guided, lengths)
    targets = {
        item.patient_id: TeacherTargets(
            others[i : i + 1],
            rows[i],
            losses[i : i + 1],
            pathways=PathwayTargets(activities[i : i + 1], shares[i : i + 1]),
        )
        for i, item in enumerate(patients)
    }
    config = load_config(None, [switch])
    output = ModelOutput(logits, lengths, guided_patches=own, pathway_activities=told)
    found = distillation_objective(config)(output, with_targets(patients, targets))
    s = config.distill
    x = distillation_loss(logits, others, tau=s.tau_logits, reduction="none")
    survival = likelihood_losses(logits, patients)
    guidance = gene_enhancement_loss(own, guided, lengths, tau=s.tau_features, direction=s.guidance_direction)
    redundancy = redundancy_reduction_loss(x, survival_ratio(survival, losses), form=s.arr)
    imitated = s.guidance_weight * guidance + s.distillation_weight * x.mean() + survival.mean()
    imitated = imitated + s.pathway_weight * (shares * (told - activities).square()).sum(dim=1).mean()
    torch.testing.assert_close(found["total"], s.alpha * imitated + (1 - s.alpha) * redundancy)
    # None of them is without effect: gated is the default form.
    plain = distillation_objective(load_config(None, []))(output, with_targets(patients, targets))
    assert (switch == "distill.arr=gated") == torch.equal(plain["total"], found["total"])


def test_targets_are_those_that_the_settings_name(inputs, tmp_path: Path) -> None:
    *_, config, data = inputs
    teacher = drain(train_teacher(data, config, tmp_path))

    def targets(**changes):
        changed = config.model_copy(update={"distill": config.distill.model_copy(update=changes)})
        taught = drain(attach_targets(data, teacher, changed, tmp_path))
        return [example.targets for example in taught.train]

    plain, unseen = targets(), targets(teacher_logits="out_of_fold")
    seen, scaled = targets(teacher_loss="in_sample"), targets(guidance_features="standardised")
    first = slice(0, 5)
    for a, b, c, d in zip(plain[first], unseen[first], seen[first], scaled[first], strict=True):
        assert torch.equal(a.survival_loss, b.survival_loss)
        assert not torch.equal(a.logits, b.logits)
        assert torch.equal(a.guided, b.guided)
        assert torch.equal(a.logits, c.logits)
        assert not torch.equal(a.survival_loss, c.survival_loss)
        assert not torch.equal(a.guided, d.guided)
    means = torch.stack([item.guided.mean(dim=0) for item in scaled])
    squares = torch.stack([item.guided.square().mean(dim=0) for item in scaled])
    torch.testing.assert_close(means.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(squares.mean(dim=0), torch.ones(8), atol=1e-3, rtol=0)


def test_pooling_bins_loss_and_coverage_decide_the_networks(inputs) -> None:
    cohort, bags, split, *_ = inputs
    partly = GeneSet("partly", frozenset({"G0", "G1", "G2", "absent"}))
    wider = replace(cohort, pathways=(*cohort.pathways, partly))

    def teacher(*switches: str):
        config = load_config(None, [*QUICK, *switches])
        return fresh_model("amkd_teacher", make_inputs(wider, bags, split, config), config, seed=0)

    plain = teacher()
    assert plain.config["pooling"] == "attention"
    assert teacher("model.pooling=mean").config["pooling"] == "mean"
    assert [teacher(f"n_bins={n}").head[-1].out_features for n in (3, 6)] == [3, 6]
    assert teacher("survival_loss=cox", "n_bins=6").head[-1].out_features == 1
    kept = [
        len(make_inputs(wider, bags, split, load_config(None, [*QUICK, switch])).fitted.membership.pathways)
        for switch in ("min_coverage=0.9", "min_coverage=0.7")
    ]
    assert kept == [2, 3]


def test_models_of_gene_groups_read_the_cohorts_and_all_others_the_pathways(inputs) -> None:
    cohort, bags, split, config, plain = inputs
    names = plain.fitted.membership.genes
    chosen = (names[:2], names[1:4])
    groups = tuple(GeneSet(f"group {i}", frozenset({*genes, "ELSEWHERE"})) for i, genes in enumerate(chosen))
    grouped = make_inputs(replace(cohort, gene_groups=groups), bags, split, config)
    for kind in READS_GROUPS:
        model = fresh_model(kind, grouped, config, seed=0)
        expected = torch.tensor([[name in genes for name in names] for genes in chosen])
        buffers = [dict(item.named_buffers()) for item in (model, fresh_model(kind, plain, config, seed=0))]
        found, merged = (
            next(value for name, value in item.items() if name.endswith("groups")) for item in buffers
        )
        assert torch.equal(found, expected), kind
        assert torch.equal(merged, torch.from_numpy(plain.fitted.membership.matrix)), kind
    teachers = [fresh_model("amkd_teacher", data, config, seed=0).state_dict() for data in (grouped, plain)]
    assert all(torch.equal(value, teachers[1][name]) for name, value in teachers[0].items())


def test_a_step_is_clipped_drawn_and_accumulated_as_the_settings_say(inputs) -> None:
    *_, data = inputs

    def weights(*switches: str, rate: float = 1.0):
        config = load_config(None, [*QUICK, "model.dropout=0", "student.batch_patients=50", *switches])
        model = fresh_model("amkd_student", data, config, seed=0)
        optimiser = torch.optim.SGD(model.parameters(), rate, weight_decay=config.student.weight_decay)
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        stage = Stage("student", Path("unused"), 0)
        train_epoch(
            model, data.train, survival_objective, optimiser, config=config.student, stage=stage, epoch=1
        )
        return torch.nn.utils.parameters_to_vector(model.parameters()).detach() - before

    plain = weights()
    clipped = weights("student.clip_norm=0.001", "student.weight_decay=0")
    assert float(clipped.norm()) == pytest.approx(0.001, rel=1e-3)
    torch.testing.assert_close(weights("student.bags_at_once=3"), plain, atol=1e-5, rtol=1e-4)
    assert not torch.equal(weights("student.patches_per_bag=2"), plain)
    assert float((weights("student.weight_decay=0.5") - plain).norm()) > 0.1


@pytest.mark.parametrize("distilled", [True, False])
def test_the_student_sees_a_share_of_each_bag_anew_and_is_judged_by_all(
    distilled: bool, inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, data = inputs
    sizes = {example.patient_id: 200 if example.event else 40 for example in (*data.train, *data.validation)}

    def widened(example: Example) -> Example:
        generator = torch.Generator().manual_seed(len(example.patches))
        patches = torch.randn(sizes[example.patient_id], example.patches.shape[1], generator=generator)
        return replace(example, patches=patches)

    data = replace(
        data, train=tuple(map(widened, data.train)), validation=tuple(map(widened, data.validation))
    )
    config = load_config(None, [*QUICK, "student.epochs=2", "distill.teacher_loss=in_sample"])
    teacher = fresh_model("amkd_teacher", data, config, seed=0)
    taught = drain(attach_targets(data, teacher, config, tmp_path))
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    plain = AmkdStudent.forward

    def watched(self: AmkdStudent, inputs: ModelInput, **options: bool) -> ModelOutput:
        seen[self.training] += torch.split(inputs.patches, list(inputs.lengths))
        return plain(self, inputs, **options)

    monkeypatch.setattr(AmkdStudent, "forward", watched)
    for share, drawn in ((0.25, {200: 50, 40: 32}), (1.0, {200: 200, 40: 40})):
        seen.update({True: [], False: []})
        config = load_config(None, [*QUICK, "student.epochs=2", f"distill.patch_share={share}"])
        drain(train_student(taught, config, tmp_path / f"{share}", distilled=distilled))
        expected = sorted([drawn[sizes[example.patient_id]] for example in data.train] * 2)
        assert sorted(len(bag) for bag in seen[True]) == expected
        assert {len(bag) for bag in seen[False]} == {200, 40}
    # Of the same patient other patches in the second epoch.
    n = len(data.train)
    config = load_config(None, [*QUICK, "student.epochs=2", "distill.patch_share=0.25"])
    seen.update({True: [], False: []})
    drain(train_student(taught, config, tmp_path / "again", distilled=distilled))
    first, second = (
        {tuple(row.tolist()) for bag in seen[True][part] for row in bag}
        for part in (slice(0, n), slice(n, None))
    )
    assert 0.05 < len(first & second) / len(first) < 0.9


def test_a_drawn_patch_keeps_what_the_teacher_said_of_it(inputs) -> None:
    example = inputs[-1].train[0]
    patches = torch.randn(100, example.patches.shape[1], generator=torch.Generator().manual_seed(0))
    guided = patches.sum(dim=1, keepdim=True)
    targets = TeacherTargets(torch.zeros(1, 4), guided, torch.ones(1))
    drawn = _drawn(
        replace(example, patches=patches, targets=targets), 4096, 0.4, torch.Generator().manual_seed(1)
    )
    assert drawn.patches.shape[0] == 40
    torch.testing.assert_close(drawn.targets.guided, drawn.patches.sum(dim=1, keepdim=True))
    torch.testing.assert_close(drawn.targets.logits, targets.logits)
