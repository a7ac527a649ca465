"""Weights with their description inside, shipped ones and published ones."""
