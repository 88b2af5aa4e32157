"""Where the updater's experience comes from: the stream, the replay, and their serial forms."""
