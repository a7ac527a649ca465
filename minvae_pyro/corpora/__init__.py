"""Corpora: sources, prepared features, batches, the synthetic talking mouth."""
