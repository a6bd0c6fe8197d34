"""Where records go: one small port, an adapter per destination, and a list for the tests."""

from producer.sinks.port import MemorySink, Sink

__all__ = ["MemorySink", "Sink"]
