"""What Pyro lacks: distributions, the enumerated bound, handlers; nothing in here knows of sound or video."""
