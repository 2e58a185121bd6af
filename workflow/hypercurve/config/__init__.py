"""Experiments as users write them: typed, read from YAML, and told what is wrong."""
