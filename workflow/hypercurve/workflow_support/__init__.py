"""What the Snakefile needs besides the package: the environment of jobs, jobs left behind, and the order of runs."""
