"""Finished runs, read once from their journals as one typed model."""
