"""The HTTP API: routers of several rooms on one app."""
