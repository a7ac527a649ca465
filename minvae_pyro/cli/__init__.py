"""Command line: a thin skin over the Python API."""
