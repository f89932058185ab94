"""A device's memory that is full: whatever words it comes in, work goes on, or ends, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import N_GENES, random_bag, random_bundle
from statistics_fixtures import QUICK, made_cohort

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.cli.terminal import drain
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.device_memory import is_out_of_memory
from amkd_core.errors import DeviceMemoryError
from amkd_core.inference import forward
from amkd_core.inference import predict as predict_module
from amkd_core.inference.predict import predict_bag
from amkd_core.models import build_model
from amkd_core.slides.encoders.smaller_batches import SmallerBatches
from amkd_core.training.cohort_pathways import ON_PROCESSOR, with_cohort_pathways
from amkd_core.training.explain import explain_bundle
from amkd_core.training.external import evaluate_bundle
from amkd_core.training.inputs import Example
from amkd_core.training.passes import FittingParts, whole_output
from amkd_core.training.report_pathways import pathway_section

FULL = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "driver": torch.AcceleratorError("CUDA error: out of memory"),
    "plain": RuntimeError("CUDA error: out of memory"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "metal": RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, max allowed: 9.07 GB)."),
    "metal buffer": RuntimeError("Invalid buffer size: 24.00 GB"),
}
OTHER = (
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    ValueError("out of memory"),
)
N = 34
full_in_all_words = pytest.mark.parametrize("error", FULL.values(), ids=FULL)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(n_members=2)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    made, _ = made_cohort(N)
    names = tuple(patient.patient_id for patient in made.patients)
    genes = np.random.default_rng(3).normal(5, 1, (N, N_GENES))
    return replace(made, expression=ExpressionTable(names, tuple(f"GENE{i}" for i in range(N_GENES)), genes))


@pytest.fixture(scope="module")
def bags(cohort: Cohort) -> dict[str, FeatureBag]:
    return {
        patient.patient_id: random_bag(12 + index % 5, seed=index, slide_id=patient.slide_ids[0])
        for index, patient in enumerate(cohort.patients)
    }


class Device:
    """A device by the name of cuda that holds so many patches; what it holds is computed by the processor."""

    def __init__(self, error: Exception, most: int) -> None:
        self.error, self.most, self.real, self.refused = error, most, forward.run_model, 0

    def run_model(self, model, inputs, device, **options):
        if device != "cpu" and len(inputs.patches) > self.most:
            self.refused += 1
            raise self.error
        return self.real(model, inputs, "cpu", **options)


@pytest.fixture
def device_of(monkeypatch: pytest.MonkeyPatch):
    """Puts such a device in the place of the GPU."""

    def made(error: Exception, most: int = 0) -> Device:
        device = Device(error, most)
        for module in ("inference.predict", "inference.teacher", "training.cohort_pathways"):
            monkeypatch.setattr(f"amkd_core.{module}.run_model", device.run_model)
        monkeypatch.setattr(predict_module, "check_device", lambda name: torch.device("cpu"))
        return device

    return made


@full_in_all_words
def test_a_full_memory_is_known_by_all_its_words(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHER)
def test_other_faults_are_none_of_memory_and_move_nothing(
    error: Exception, bundle: Bundle, device_of
) -> None:
    assert not is_out_of_memory(error)
    device_of(error)
    with pytest.raises(type(error)):
        predict_bag(random_bag(5), bundle, device="cuda")

    def step(examples, at_once):
        raise error

    with pytest.raises(type(error)):
        FittingParts(4, "cpu").run(step, ["a", "b", "c"])
    with pytest.raises(type(error)):
        SmallerBatches().run(lambda images: step(images, 1), np.zeros((4, 2, 2, 3), dtype=np.uint8))


@full_in_all_words
def test_prediction_encoding_and_training_go_on(error: Exception, bundle: Bundle, device_of) -> None:
    device_of(error)
    found, expected = predict_bag(random_bag(5), bundle, device="cuda"), predict_bag(random_bag(5), bundle)
    assert found.risk == pytest.approx(expected.risk, abs=1e-12)
    assert (found.on_processor, expected.on_processor) == (True, False)

    def at_most_two(images, _=None):
        if len(images) > 2:
            raise error
        return len(images)

    assert SmallerBatches().run(at_most_two, np.zeros((7, 2, 2, 3), dtype=np.uint8)) == [1] * 7
    parts = FittingParts(8, "cpu")

    def step(examples, at_once):
        return at_most_two(examples[:at_once])

    assert parts.run(step, list("abcdefgh")) == 2
    assert "gradients of 2 patients at a time" in parts.remark


@full_in_all_words
def test_one_patient_that_a_device_does_not_hold_is_a_sentence(error: Exception) -> None:
    model = build_model("amkd_student", {"d_encoder": 6, "dim": 8}, seed=1)

    def full(model, arguments):
        raise error

    model.register_forward_pre_hook(full)
    example = Example("P1", torch.zeros(5, 6), torch.zeros(1), 0, True, 6.0)
    with pytest.raises(DeviceMemoryError, match="does not hold P1 with 5 patches"):
        whole_output(model, [example], "cpu")


def test_patients_that_the_processor_scored_are_counted_and_told(
    cohort: Cohort, bundle: Bundle, bags: dict[str, FeatureBag], device_of, tmp_path: Path
) -> None:
    expected = drain(evaluate_bundle(cohort, bundle, bags, out=tmp_path / "expected", effort=QUICK))
    assert expected.n_on_processor == 0
    device_of(FULL["driver"], most=14)
    found = drain(evaluate_bundle(cohort, bundle, bags, out=tmp_path / "found", effort=QUICK, device="cuda"))
    n_moved = sum(len(bag) > 14 for bag in bags.values())
    assert 0 < n_moved < N
    sentence = f"The device's memory did not hold the patches of {n_moved} patients; the processor computed"
    assert sentence in str(found)
    page, plain = ((tmp_path / name / "report.html").read_text() for name in ("found", "expected"))
    assert f"Warning: {sentence}".replace("'", "&#x27;") in page.replace("&#39;", "&#x27;")
    assert "the processor computed" not in plain + str(expected)
    metrics, before = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("found", "expected")
    )
    assert metrics.pop("n_on_processor") == n_moved
    assert before.pop("n_on_processor") == 0
    assert metrics == before


def test_an_explanation_counts_them_too(
    cohort: Cohort, bundle: Bundle, bags: dict[str, FeatureBag], device_of, tmp_path: Path
) -> None:
    device_of(FULL["cublas"], most=14)
    found = drain(explain_bundle(cohort, bundle, bags, out=tmp_path, device="cuda"))
    n_moved = sum(len(bag) > 14 for bag in bags.values())
    assert f"did not hold the patches of {n_moved} patients" in str(found)
    assert json.loads((tmp_path / "explanation.json").read_text())["n_on_processor"] == n_moved


@full_in_all_words
def test_pathways_of_a_trained_bundle_are_read_all_the_same_and_the_report_says_how(  # noqa: PLR0917 (fixtures)
    error: Exception, cohort: Cohort, bundle: Bundle, bags: dict[str, FeatureBag], device_of, tmp_path: Path
) -> None:
    names = [list(bags)[:20], list(bags)[20:]]
    expected = with_cohort_pathways(bundle, cohort, bags, names)
    device = device_of(error, most=14)
    found = with_cohort_pathways(bundle, cohort, bags, names, device="cuda")
    n_moved = sum(len(bag) > 14 for bag in bags.values())
    assert device.refused == found.card.provenance[ON_PROCESSOR] == n_moved
    np.testing.assert_array_equal(found.pathway_attention, expected.pathway_attention)
    assert f"did not hold the patches of {n_moved} patients" in pathway_section(found, tmp_path).paragraphs[1]
    assert ON_PROCESSOR not in expected.card.provenance
    assert len(pathway_section(expected, tmp_path).paragraphs) == 1
    # An ensemble's card is made of a fold's: it counts its own patients.
    again = with_cohort_pathways(found, cohort, bags, names)
    assert ON_PROCESSOR not in again.card.provenance


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU whose memory can be limited")
def test_a_gpu_that_is_really_full_is_known_and_the_processor_stands_in(bundle: Bundle) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(8 * 2**20 / total)
    try:
        with pytest.raises(RuntimeError) as caught:
            torch.empty(2**30, dtype=torch.uint8, device="cuda")
        assert is_out_of_memory(caught.value)
        # 2.5 MB a tensor, for which torch takes a block of 20.
        large = random_bag(40_000, seed=1)
        found, expected = predict_bag(large, bundle, device="cuda"), predict_bag(large, bundle)
        assert found.on_processor
        assert found.risk == pytest.approx(expected.risk, abs=1e-5)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert not predict_bag(large, bundle, device="cuda").on_processor
