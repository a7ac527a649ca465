"""A checkpoint for one talker, from a few clean clips of theirs."""
