"""One file per network family. Keras, which is imported inside functions only."""
