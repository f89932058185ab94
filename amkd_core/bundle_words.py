"""A bundle's card in words: who it was trained on, how well it did, and what nobody should expect of it."""

from __future__ import annotations

from amkd_core.bundle_card import BundleCard, Measured, SubgroupMeasured
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
"""What holds of every bundle that a run writes, one sentence each; the last one where no subgroup was looked at."""

SUBGROUP_CAUTION = (
    "Subgroups were not chosen by result, their intervals are not corrected for many comparisons, and the C-index of "
    "one may differ from the others' by chance."
)
_SUBGROUP_LIMIT = (
    "Subgroups: it may do worse in some patients than in others, and of subgroups with few events nobody can tell. "
    + SUBGROUP_CAUTION
)


def known_limits(n_patients: int, n_events: int, *further: str, subgroups: bool = False) -> list[str]:
    """The limits of a model that was trained on so many patients; empty sentences are left out.

    `subgroups` is whether figures of any were computed.
    """
    few = ""
    if n_events < FEW_EVENTS:
        few = f"Size: only {n_events} events among {n_patients} patients were learnt from; every figure is unsure."
    general = (*KNOWN_LIMITS[:-1], _SUBGROUP_LIMIT) if subgroups else KNOWN_LIMITS
    return [sentence for sentence in (*general, few, *further) if sentence]


def limits_of(card: BundleCard) -> tuple[str, ...]:
    """What the card names; of a bundle of before it did, what holds of any."""
    return tuple(
        card.limits or known_limits(card.cohort_size, card.cohort_events, subgroups=bool(card.subgroups))
    )


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
        *subgroup_rows(card),
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


def subgroup_rows(card: BundleCard) -> list[tuple[str, str]]:
    """C-indices by subgroup, one row each, with a caution above them; none where the card has none."""
    rows = [("subgroups", SUBGROUP_CAUTION)] if card.subgroups else []
    for item in card.subgroups:
        by_group: dict[str, list[SubgroupMeasured]] = {}
        for figure in item.measured:
            by_group.setdefault(figure.group, []).append(figure)
        rows += [(f"{item.by}, {name}", _subgroup_text(figures)) for name, figures in by_group.items()]
        rest = rest_text(item.pooled_groups, item.pooled_patients, item.unknown)
        if rest:
            rows.append((f"{item.by}, others", rest))
    return rows


def _subgroup_text(figures: list[SubgroupMeasured]) -> str:
    """Of one subgroup, as ``student 0.651 [0.602, 0.700], teacher ..., on 60 test patients with 21 events``."""
    by_size: dict[str, list[str]] = {}
    for item in figures:
        events = "events not told" if item.n_events is None else f"{item.n_events} events"
        told = f"not estimable ({item.reason})" if item.c_index is None else _with_interval(item)
        by_size.setdefault(f"{item.n_patients} test patients with {events}", []).append(
            f"{item.model} {told}"
        )
    return "; ".join(f"{', '.join(told)}, on {size}" for size, told in by_size.items())


def rest_text(pooled_groups: int, pooled_patients: int, unknown: int) -> str:
    """Who is in no subgroup that is told of by itself; empty where nobody is."""
    told = []
    if pooled_groups:
        told.append(
            f"{_count(pooled_groups, 'group')} with {_count(pooled_patients, 'patient')} only counted"
        )
    if unknown:
        told.append(f"not told of {_count(unknown, 'patient')}")
    return ", ".join(told)


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def subgroup_line(card: BundleCard) -> str:
    """The student's C-indices by age, sex and stage, for a place with room for a few words; empty without any."""
    told = [
        f"{item.by} {figure.group} {figure.c_index:.2f} [{figure.lower:.2f}, {figure.upper:.2f}]"
        for item in card.subgroups
        for figure in item.measured
        if item.by != "site" and figure.model == "student" and figure.c_index is not None
    ]
    return "C-index: " + ", ".join(told) + "; they may differ by chance" if told else ""


def _with_interval(item: Measured | SubgroupMeasured) -> str:
    return f"{item.c_index:.3f} [{item.lower:.3f}, {item.upper:.3f}]"


def measured_text(item: Measured) -> str:
    """One of them, as ``0.651 [0.602, 0.700] on 120 test patients with 40 events``."""
    size = f"{item.n_patients} test patients with {item.n_events} events"
    if item.c_index is None:
        return f"not estimable on {size}: {item.reason}"
    within = ", within folds" if item.fold is None else ""
    return f"{_with_interval(item)} on {size}{within}"


def headline(card: BundleCard) -> str:
    """How well the student did, in one sentence for a place with room for one."""
    own = [item for item in card.measured if item.model == "student"]
    if own:
        return f"C-index {measured_text(min(own, key=lambda item: item.fold or 0))}"
    label, text = performance_rows(card)[0]
    return f"{label}: {text}"
