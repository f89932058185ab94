"""The science of AMKD: slides, bags, models, training and explanation, without a screen."""

__version__ = "0.1.0"
