"""Executors: who drives whom. They carry out what :mod:`hypercurve.runs.run` decides."""
