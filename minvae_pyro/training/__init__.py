"""Training of speech priors on clean audio-visual speech."""
