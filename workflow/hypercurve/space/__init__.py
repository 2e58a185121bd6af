"""The search space: domains of hyperparameters, and how configurations are drawn, coded and perturbed. Pure."""
