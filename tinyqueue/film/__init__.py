"""Films of games: what an environment shows while a policy plays, as mp4 and GIF."""
