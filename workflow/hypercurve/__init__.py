"""hypercurve: hyperparameter optimisation of neural networks on clusters."""

__version__ = "0.1.0"
