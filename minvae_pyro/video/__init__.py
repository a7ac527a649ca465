"""Video: frames, faces, mouth crops, alignment with sound."""
