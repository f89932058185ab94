"""Teaching the models: distillation losses, recipes, evaluation and run folders."""
