"""A run's state, the fold of its events, and going on with its journal."""
