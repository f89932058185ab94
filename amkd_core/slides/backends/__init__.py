"""Readers of slide formats behind one interface, `amkd_core.slides.backends.base.Backend`."""
