"""Media files as the world makes them: opened, their tracks chosen, their clocks put right; decoding is elsewhere."""
