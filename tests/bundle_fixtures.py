"""A small bundle with random weights, for tests of files and of predictions."""

from __future__ import annotations

import numpy as np

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.bundle import Bundle, BundleMember
from amkd_core.bundle_card import OUT_OF_FOLD, BundleCard, EncoderCard
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.pathways import Membership
from amkd_core.feature_range import FeatureRange
from amkd_core.models import build_model
from amkd_core.pathway_effects import PathwayEffects
from amkd_core.survival.metrics import kaplan_meier
from amkd_core.survival.outcome import TimeBins

N_GENES, N_PATHWAYS = 12, 4


def encoder_identity(dimension: int = 16, name: str = "texture") -> EncoderIdentity:
    return EncoderIdentity(name, "1", dimension, "0" * 64, "none", "none", "BSD-3-Clause")


def random_bag(
    n_patches: int = 30, *, seed: int = 0, encoder: EncoderIdentity | None = None, slide_id: str = "slide"
) -> FeatureBag:
    """A bag on a grid ten patches wide."""
    encoder = encoder or encoder_identity()
    rng = np.random.default_rng(seed)
    place = np.arange(n_patches)
    return FeatureBag(
        features=(rng.normal(size=(n_patches, encoder.dimension)) + 0.1).astype(np.float32),
        encoder=encoder,
        patch_size_px=256,
        mpp=0.5,
        slide_id=slide_id,
        coords=np.stack([place % 10, place // 10], axis=1) * 512 + 100,
        patch_size_level0=(512, 512),
        slide_fingerprint="f" * 16,
        slide_size_level0=(6000, 3000),
        slide_mpp=(0.25, 0.25),
        slide_mpp_source="vendor",
    )


def random_bundle(
    *,
    n_members: int = 1,
    teacher: bool = True,
    synthetic: bool = True,
    encoder: EncoderIdentity | None = None,
    covered: Membership | None = None,
    patch_size_px: int = 256,
) -> Bundle:
    """A bundle whose weights are random but whose parts all fit together, on given pathways or made-up ones."""
    encoder = encoder or encoder_identity()
    rng = np.random.default_rng(1)
    if covered is None:
        membership = rng.random((N_PATHWAYS, N_GENES)) < 0.5
        membership[:, 0] = True
        pathways = tuple(f"SIM_PATHWAY_{index}" for index in range(N_PATHWAYS))
        covered = Membership(pathways, tuple(f"GENE{index}" for index in range(N_GENES)), membership, ())
    membership, n_genes = covered.matrix, len(covered.genes)
    members = []
    for seed in range(n_members):
        sizes = {"d_encoder": encoder.dimension, "dim": 16}
        networks = [build_model("amkd_student", sizes, seed=seed)]
        if teacher:
            networks.append(build_model("amkd_teacher", sizes, membership=membership, seed=seed))
        members.append(
            BundleMember(
                student=networks[0].eval(),
                teacher=networks[1].eval() if teacher else None,
                time_bins=TimeBins(np.array([0.0, 6.0, 12.0, 30.0, np.inf])),
                training_risks=np.sort(rng.normal(-2, 0.3, size=50)),
                risk_cut=-2.0,
                scaling=GeneScaling(rng.normal(5, 1, n_genes), np.full(n_genes, 1.5)) if teacher else None,
            )
        )
    time = rng.exponential(24, size=50)
    event = rng.random(50) < 0.5
    card = BundleCard(
        name="random",
        synthetic=synthetic,
        encoder=EncoderCard(**encoder.to_dict()),
        patch_size_px=patch_size_px,
        mpp=0.5,
        endpoint="os",
        created="2026-01-01",
        software_version="0",
        cohort_size=50,
        cohort_events=int(event.sum()),
        provenance={"reference": OUT_OF_FOLD},
        pathways=list(covered.pathways) if teacher else [],
        genes=list(covered.genes) if teacher else [],
        members=[
            {
                "student": {"name": "amkd_student", "config": {}},
                "risk_cut": 0.0,
                "time_bins": [0.0, 1.0],
            }
            for _ in members
        ],
    )
    slides = [random_bag(40, seed=100 + index, encoder=encoder).features for index in range(30)]
    curves = {group: kaplan_meier(time, event) for group in ("all", "low", "high")}
    attention = np.linspace(1, 2, len(covered.pathways))
    return Bundle(
        card, tuple(members), FeatureRange.fit(slides), curves, membership if teacher else None,
        pathway_attention=attention / attention.sum() if teacher else None,
        pathway_effects=some_effects(len(covered.pathways)) if teacher else None,
    )  # fmt: skip


def some_effects(n_pathways: int, *, explained: float = 0.8) -> PathwayEffects:
    """Effects that rise from pathway to pathway, the first below 0 and the last above it."""
    effect = np.linspace(-0.2, 0.3, n_pathways)
    return PathwayEffects(effect, np.zeros(n_pathways), np.full(n_pathways, 0.5), np.array([explained, 50.0]))
