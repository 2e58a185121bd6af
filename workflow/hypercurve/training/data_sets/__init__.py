"""Data known by name that Keras does not load, a module each.

A module holds `ORIGIN`, where the data are from, in words, and `load`, which gives the arrays x_train, y_train, x_test and
y_test. Where inputs are to be multiplied by another number than 1/255 (bytes) or 1 (others), that number is `SCALE`.
"""
