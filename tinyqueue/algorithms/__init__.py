"""One file per algorithm, with its paper in the first line. TensorFlow is imported inside
functions only."""
