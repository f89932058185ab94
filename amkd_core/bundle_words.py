"""A bundle's card in words: who it was trained on, how well it did, and what nobody should expect of it."""

from __future__ import annotations

from amkd_core.bundle_card import BundleCard, Measured
from amkd_core.survival.endpoints import words_of

FEW_EVENTS = 50
"""Events, of a training cohort or among tested patients, below which every figure is unsure."""
_MOST_SITES = 20

KNOWN_LIMITS = (
    "Scanners: slides of other scanners, pixel sizes or compression than the training cohort's were not tried.",
    "Organ and disease: tissue of another organ or tumour type gets a risk all the same, and it means nothing.",
    "Stain: read from H&E sections only; another stain, or a laboratory that stains otherwise, may shift every risk.",
    "Encoder: it reads features of one encoder, patch size and scale; of features whose file does not tell what made "
    "them, nobody can say that they fit.",
    "Hospitals: tested patients come from the same cohort as the training patients; another hospital is a harder test "
    "(amkd evaluate).",
    "Subgroups: no figure by sex, age, stage or site was computed; it may do worse for some of them.",
)
"""What holds of every bundle that a run writes, one sentence each."""


def known_limits(n_patients: int, n_events: int, *further: str) -> list[str]:
    """The limits of a model that was trained on so many patients; empty sentences are left out."""
    few = ""
    if n_events < FEW_EVENTS:
        few = f"Size: only {n_events} events among {n_patients} patients were learnt from; every figure is unsure."
    return [sentence for sentence in (*KNOWN_LIMITS, few, *further) if sentence]


def limits_of(card: BundleCard) -> tuple[str, ...]:
    """What the card names; of a bundle of before it did, what holds of any."""
    return tuple(card.limits or known_limits(card.cohort_size, card.cohort_events))


def card_rows(card: BundleCard) -> list[tuple[str, str]]:
    """The card as pairs of label and text."""
    events = words_of(card.endpoint).events
    return [
        ("use", card.research_use_notice),
        ("model", card.name + (" (SYNTHETIC: trained on simulated slides)" if card.synthetic else "")),
        ("made", f"{card.created}, with AMKD Viewer {card.software_version}"),
        ("training cohort", f"{card.cohort_size} patients, {card.cohort_events} {events} (endpoint {card.endpoint})"),
        ("sites", sites_text(card)),
        ("encoder", f"{card.encoder.name} {card.encoder.version}, weights {card.encoder.weights_sha256}"),
        ("patches", f"{card.patch_size_px} px at {card.mpp:g} µm per pixel"),
        ("members", f"{len(card.members)}, {'with' if card.members[0].teacher else 'without'} teacher"),
        *performance_rows(card),
        *(("terms", terms) for terms in card.licences),
    ]  # fmt: skip


def sites_text(card: BundleCard) -> str:
    """The hospitals of the training cohort and how many patients each gave."""
    sites = card.sites
    if sites is None:
        return "not recorded"
    largest = sorted(sites.patients.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {count}" for name, count in largest[:_MOST_SITES]]
    if len(largest) > _MOST_SITES:
        rest = sum(count for _, count in largest[_MOST_SITES:])
        shown.append(f"{len(largest) - _MOST_SITES} more with {rest}")
    if sites.pooled_sites:
        shown.append(f"{sites.pooled_sites} not named with {sites.pooled_patients}")
    if sites.unknown:
        shown.append(f"not told {sites.unknown}")
    return ("TCGA sites: " if sites.source == "tcga_site" else "") + ", ".join(shown)


def performance_rows(card: BundleCard) -> list[tuple[str, str]]:
    """Every C-index of the card with its interval; all folds' first."""
    found = [
        (f"C-index of the {item.model}{'' if item.fold is None else f', fold {item.fold}'}", measured_text(item))
        for item in sorted(card.measured, key=lambda item: (item.fold or 0, item.model))
    ]  # fmt: skip
    return found or _older_rows(card) or [("C-index", "not measured: no patient was kept for testing")]


def _older_rows(card: BundleCard) -> list[tuple[str, str]]:
    """Of a bundle of before: figures on test patients alone, for validation patients chose the epoch."""
    return [
        (f"C-index, {name.removeprefix('c_index_').replace('_', ' ')}", f"{value:.3f} (no interval recorded)")
        for name, value in card.metrics.items()
        if "_test" in name
    ]


def measured_text(item: Measured) -> str:
    """One of them, as ``0.651 [0.602, 0.700] on 120 test patients with 40 events``."""
    size = f"{item.n_patients} test patients with {item.n_events} events"
    if item.c_index is None:
        return f"not estimable on {size}: {item.reason}"
    within = ", within folds" if item.fold is None else ""
    return f"{item.c_index:.3f} [{item.lower:.3f}, {item.upper:.3f}] on {size}{within}"


def headline(card: BundleCard) -> str:
    """How well the student did, in one sentence for a place with room for one."""
    own = [item for item in card.measured if item.model == "student"]
    if own:
        return f"C-index {measured_text(min(own, key=lambda item: item.fold or 0))}"
    label, text = performance_rows(card)[0]
    return f"{label}: {text}"
