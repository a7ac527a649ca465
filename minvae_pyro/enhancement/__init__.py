"""From a noisy recording to clean speech: whole, in windows, in batches, or while it arrives."""
