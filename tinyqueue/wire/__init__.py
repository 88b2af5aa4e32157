"""Sessions, weights and evaluations as bytes: msgpack, bounded compression, limits. No I/O."""
