"""Populations: members that train together and learn from each other. Pure; see :mod:`hypercurve.events.events`."""
