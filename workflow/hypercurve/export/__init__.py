"""Finished runs in the forms that other programs read: TensorBoard's event files, and Optuna's storages."""
