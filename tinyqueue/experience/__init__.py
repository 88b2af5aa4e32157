"""Sources of experience for the updater: the stream, the replay, and their serial forms."""
