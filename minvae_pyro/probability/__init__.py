"""What Pyro lacks: distributions, the enumerated bound, handlers; nothing in here depends on sound or video."""
