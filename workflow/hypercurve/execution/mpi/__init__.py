"""Executors on several MPI ranks: a supervisor with workers, and populations."""
