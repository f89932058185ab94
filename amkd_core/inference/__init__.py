"""From a slide or a bag to a prediction, and from a prediction to maps."""
