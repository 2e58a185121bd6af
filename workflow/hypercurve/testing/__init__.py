"""The contract of searchers and stoppers, for those who write one: ``python -m hypercurve.testing my_rules:Ratio``."""
