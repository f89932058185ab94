"""Patients: tables of follow-up and expression, pathways, and who is trained and tested on."""
