"""The screen: a napari plugin over `amkd_core`. It draws and asks; all numbers come from the core.

Importing this package imports neither Qt, napari nor torch.
"""
