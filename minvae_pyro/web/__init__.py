"""A page in the browser that enhances recordings: ``minvae web``."""
