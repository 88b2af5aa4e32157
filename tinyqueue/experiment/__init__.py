"""What is trained: one frozen, typed schema, read from TOML; and its half that players need."""
