"""Before hours are spent: two points of a training, measured, and what a whole experiment would take by that."""
