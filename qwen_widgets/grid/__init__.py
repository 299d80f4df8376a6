"""The comparison grid: what a run gives back, and how it is shown."""
