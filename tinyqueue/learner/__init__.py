"""The learner: ingest, updater, reports, checkpoints, and the service that connects them."""
