"""One file per algorithm, with its paper in the first line. TensorFlow, inside functions only."""
