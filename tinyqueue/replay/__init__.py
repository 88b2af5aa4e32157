"""What a learner keeps of the sessions, and what it trains on: storage × adder × sampler."""
