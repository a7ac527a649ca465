"""What each part of a model is worth: factors, levels, claims, and their report."""
