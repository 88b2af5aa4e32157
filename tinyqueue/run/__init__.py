"""What a run leaves on disk: its directory, checkpoints, versions and JSON-lines files."""
