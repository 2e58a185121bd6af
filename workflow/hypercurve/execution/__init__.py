"""Executors: who drives whom. They carry out what :mod:`hypercurve.run` decides."""
