"""Guides at test time: one posterior per recording, fitted to it."""
