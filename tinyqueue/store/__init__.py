"""What the learner and its players share in Redis: specs, weight versions, lease, status.

Players only read (GET, MGET, HGETALL), and count attempts. Everything here can be rebuilt
from the run directory.
"""
