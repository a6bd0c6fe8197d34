"""What browsers get: the tracker, and sample pages that use it."""
