"""Pyro guides: posteriors for training and for test time."""
