"""A commented example of a cohort file, for `amkd-train --init`."""

from __future__ import annotations

EXAMPLE_COHORT = """# A cohort for `amkd-train`. Paths are relative to this file; docs/cohort.md tells more.
[cohort]
name = "my-cohort"

# CSV, TSV, Parquet or Excel. One row a patient with patient_id, slide_ids (joined by ";"), os_months (above 0) and
# os_event (1 = death, 0 = censored), or one row a slide with case_id, slide_id, survival_months and censorship
# (1 = censored), or names that are stated below. Optional: split (train, validation, test), age_years, sex, ajcc_stage.
clinical = "clinical.csv"
# slide_table = "slides.csv"      # patient_id and slide_id, one row a slide, where the clinical table has no slides
# patient_column = "case"
# slide_column = "image"
# time_column = "OS.time"
# time_unit = "days"              # days, months or years, where the column's name does not tell
# event_column = "status"
# event_means = "death"           # or "censored": what 1 means, which a follow-up that looks turned round asks for
# nonpositive_time = "drop"       # keep patients with a time of 0 or less out, instead of stopping

# CSV, TSV (also .gz), Parquet or Excel; patients in rows or in columns; log scale.
expression = "expression.parquet"
# probe_map = "gencode.v36.probeMap"   # from Ensembl identifiers to symbols
# expression_scale = "linear"          # take log2(x + 1) of counts or TPM; "zscore", "log"

# Gene sets, one a line: name, description, genes, separated by tabs.
pathways = "pathways.gmt"
# min_genes = 0.6                 # go on although the table has less than 90 % of their genes,
# min_pathway_genes = 0.2         # or of some of them less than half
# gene_groups = "groups.gmt"      # what MCAT and G-HANet read in `amkd benchmark`, in place of merged pathways

# Slides named <slide_id>.<suffix>, and/or a folder of bags named <slide_id>.h5 or .pt; missing bags are extracted.
slides = "slides"
# bags = "bags"
encoder = "texture"
# Bags of CLAM, TRIDENT or STAMP: what they do not record, beside the encoder.
# bag_mpp = 0.5                   # micrometres per pixel of a patch
# patch_size = 256                # its side in pixels
# patch_size_level0 = 512         # the same in level-0 pixels of the slide
# slide_mpp = 0.25                # micrometres per level-0 pixel (STAMP)

# os, dss or pfi: which columns of the clinical table.
endpoint = "os"

# Folds: stratified by event, unless a file gives them or groups are kept apart.
# folds = "folds.csv"             # patient_id with val_fold, or with fold0, fold1, ... (train, val, test)
# group = "tcga_site"             # or a column of the clinical table
"""
