"""The embedded stack: Kafka, PostgreSQL and Redis as background processes of one home."""
