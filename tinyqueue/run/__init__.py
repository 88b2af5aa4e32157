"""What one run leaves on disk: its directory, checkpoints, versions and files of lines."""
