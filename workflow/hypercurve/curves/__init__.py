"""Recorded learning curves as a typed table, what trainings cost, and the record of earlier experiments."""
