"""What a run shows: metric names, the terminal view, learning curves and advice."""
