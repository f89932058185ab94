"""Predictions as files: JSON, HDF5 and pictures. No paths, no label images, no raw metadata of the slide."""
