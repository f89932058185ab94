"""Losses as plain loops over patients and entries, from probabilities rather than logarithms."""

from __future__ import annotations

import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def slow_kd(student, teacher, tau):
    """Bernoulli divergence from probabilities, entry by entry."""
    losses = []
    for row_s, row_t in zip(student.tolist(), teacher.tolist(), strict=True):
        total = 0.0
        for s, t in zip(row_s, row_t, strict=True):
            p, q = sigmoid(s / tau), sigmoid(t / tau)
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
        losses.append(total)
    return losses


def slow_guidance(student, teacher, lengths, tau):
    """KL along features, mean over patches, then over patients."""

    def probabilities(row):
        exponents = [math.exp(x / tau) for x in row]
        return [e / sum(exponents) for e in exponents]

    rows = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        pairs = zip(probabilities(s), probabilities(t), strict=True)
        rows.append(sum(p * math.log(p / q) for p, q in pairs))
    means, start = [], 0
    for n in lengths:
        means.append(sum(rows[start : start + n]) / n)
        start += n
    return sum(means) / len(means)


SLOW_ARR = {
    "balanced": lambda p, r: -math.log(p) - r * math.log(1 - p),
    "printed_minus": lambda p, r: -math.log(p) + r * math.log(1 - p),
    "printed_plus": lambda p, r: math.log(p) + r * math.log(1 - p),
    "attract": lambda p, r: math.log(p) - r * math.log(1 - p),
}
