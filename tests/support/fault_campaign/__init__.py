"""A campaign of random faults: what can go wrong, what it is done to, and how it is judged."""
