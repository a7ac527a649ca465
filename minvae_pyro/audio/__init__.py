"""Sound: files, short-time Fourier transform, mixing."""
