"""Evaluation: scores, mixtures, tables."""
