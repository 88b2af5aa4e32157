"""The learner: ingest, ledger, updater, checkpoints, and the service that joins them."""
