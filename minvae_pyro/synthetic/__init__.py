"""A synthetic talker: mouth, voice and noise, for demonstrations and tests."""
