"""Time to event: outcomes and time bins, hazards and losses, metrics, and curves in months."""
