"""Pyro models: speech priors, noise models, the noisy mixture."""
