"""Version of the package, written into every checkpoint."""

__version__ = "0.1.0"
