"""The report of an experiment: summaries, figures, and a page to listen to."""
