from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from amkd_core.simulate.glands import draw_shapes
from amkd_core.simulate.nuclei import nucleus_kinds, place_nuclei
from amkd_core.simulate.tissue_map import MAP_MPP, Look, Region, TissueMap, draw_tissue_map

SIZE_UM = (1280.0, 1024.0)


def _plan(
    look: Look, seed: int = 0, size_um: tuple[float, float] = SIZE_UM, *, pen: bool = False
) -> TissueMap:
    rng = np.random.default_rng(seed)
    return draw_tissue_map(rng, size_um, look, draw_shapes(rng), pen=pen)


@pytest.mark.parametrize("drive", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_regions_take_the_stated_share_of_the_tissue(drive: float, seed: int) -> None:
    look = Look(drive, drive, drive)
    labels = _plan(look, seed).labels
    n_tissue = (labels != Region.BACKGROUND).sum()
    for region, share in look.shares.items():
        assert (labels == region).sum() / n_tissue == pytest.approx(share, abs=0.01)


def test_every_patient_has_some_high_grade_tumour_and_more_with_proliferation() -> None:
    shares = [Look(drive).shares[Region.HIGH_GRADE] for drive in (-6.0, -1.0, 0.0, 1.0, 6.0)]
    assert shares == sorted(shares)
    assert shares[0] >= 0.10
    assert shares[-1] <= 0.35


def test_necrosis_lies_in_the_tumour_and_lymphocytes_near_it() -> None:
    around, near, random = [], [], []
    for seed in range(6):
        labels = _plan(Look(0.5, 0.5, 0.5), seed).labels
        tumour = labels == Region.HIGH_GRADE
        away_um = ndimage.distance_transform_edt(~tumour) * MAP_MPP
        border = ndimage.binary_dilation(labels == Region.NECROSIS) & (labels != Region.NECROSIS)
        around.append((labels[border] == Region.HIGH_GRADE).mean())
        near.append(away_um[labels == Region.LYMPHOCYTES].mean())
        random.append(away_um[labels == Region.STROMA].mean())
    assert np.mean(around) > 0.5
    assert np.mean(near) < 0.8 * np.mean(random)


def test_tissue_keeps_away_from_the_border_and_glands_lie_in_stroma() -> None:
    plan = _plan(Look(), 3)
    edge = np.ones_like(plan.labels, dtype=bool)
    edge[2:-2, 2:-2] = False
    assert (plan.labels[edge] == Region.BACKGROUND).all()
    assert len(plan.glands) > 5
    columns, rows = (plan.glands[:, :2] / MAP_MPP).astype(int).T
    assert (plan.labels[rows, columns] == Region.GLAND).all()


@pytest.mark.parametrize("size_um", [(256.0, 256.0), (60.0, 60.0), (5000.0, 300.0), (4096.0, 3072.0)])
def test_slides_of_any_size_have_a_plan(size_um: tuple[float, float]) -> None:
    plan = _plan(Look(), 1, size_um, pen=True)
    assert plan.labels.shape == (max(8, round(size_um[1] / 8)), max(8, round(size_um[0] / 8)))


def test_pen_stays_a_mark() -> None:
    for seed in range(10):
        labels = _plan(Look(), seed, pen=True).labels
        assert 0.002 < (labels == Region.PEN).mean() < 0.08
    assert not (_plan(Look(), 0).labels == Region.PEN).any()


def test_nuclei_are_as_dense_as_stated_and_inside_the_tissue() -> None:
    rng = np.random.default_rng(2)
    shapes = draw_shapes(rng)
    plan = draw_tissue_map(rng, (4000.0, 3000.0), Look(0.5, 0.5, 0.5), shapes, pen=False)
    for kind in nucleus_kinds(Look(0.5, 0.5, 0.5)):
        nuclei = place_nuclei(rng, plan, kind, shapes)
        assert nuclei.turn.shape == (len(nuclei.xy_um),)
        if kind.region is Region.GLAND:
            assert len(nuclei.xy_um) > 10 * len(plan.glands)
            continue
        area_mm2 = (plan.labels == kind.region).sum() * (MAP_MPP / 1000) ** 2
        assert len(nuclei.xy_um) / area_mm2 == pytest.approx(kind.per_mm2, rel=0.12)
        inside = nuclei.xy_um.clip(0, (3999.9, 2999.9)) / MAP_MPP
        under = plan.labels[inside[:, 1].astype(int), inside[:, 0].astype(int)]
        assert not (under == Region.BACKGROUND).any()


def test_nuclei_keep_a_distance() -> None:
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(3)
    shapes = draw_shapes(rng)
    plan = draw_tissue_map(rng, SIZE_UM, Look(), shapes, pen=False)
    kind = next(kind for kind in nucleus_kinds(Look()) if kind.region is Region.LYMPHOCYTES)
    places = place_nuclei(rng, plan, kind, shapes).xy_um
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    by_chance = 0.5 / np.sqrt(kind.per_mm2 / 1e6)  # mean nearest neighbour of points thrown at random
    assert np.mean(nearest) > 1.2 * by_chance
