"""One file per network family, in Keras, which is imported inside functions only."""
