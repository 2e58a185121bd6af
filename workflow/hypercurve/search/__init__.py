"""Searchers: which configurations are tried. Pure; see :mod:`hypercurve.events.events`."""
