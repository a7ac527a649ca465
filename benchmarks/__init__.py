"""Measurements on real recordings: what the numbers and figures in the README come from."""
