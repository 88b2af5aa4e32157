"""The learner: ingest, ledger, trainer, checkpoints, and the service that joins them."""
