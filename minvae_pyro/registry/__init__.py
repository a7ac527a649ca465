"""Classes by name: found, made from a description, matched, and explained when one is wrong."""
