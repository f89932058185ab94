"""Synthetic slides and cohorts with a known truth; labelled synthetic wherever they appear."""
