"""The seeded simulator and its sinks: simulated or recorded events in, records out."""
