"""Stoppers: which trials go on. Pure; see :mod:`hypercurve.events.events`."""
