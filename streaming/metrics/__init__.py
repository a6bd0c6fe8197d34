"""What Prometheus is told of the streams: declared once, filled by a listener to the epochs."""
