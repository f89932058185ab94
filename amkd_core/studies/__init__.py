"""Studies over many trainings: what a part of the method is worth."""
