"""Corpora: sources, prepared features, batches."""
