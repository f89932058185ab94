"""The command lines `amkd` and `amkd-train`: parse, call, exit code."""
