"""A module that cannot be imported: what it needs is not there."""

raise OSError("libsimulator.so.4: cannot open shared object file")
