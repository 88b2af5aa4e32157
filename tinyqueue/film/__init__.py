"""Films of episodes: what an environment renders while a policy plays, as mp4 and GIF."""
