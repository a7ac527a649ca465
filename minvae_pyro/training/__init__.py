"""Training: configuration, plan, noise injection, augmentation, runs."""
