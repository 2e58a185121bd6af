"""Watching runs from their journals alone, from any machine that sees the files: reading, folding, showing."""
