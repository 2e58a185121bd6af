"""What the Snakefile needs besides the package: the environment of jobs, and jobs left behind."""
