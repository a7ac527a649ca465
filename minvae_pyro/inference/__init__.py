"""Inference at test time: engines and the noise update that they share."""
