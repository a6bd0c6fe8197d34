"""Dead letters: what stands in `ops.dead_letters`, and how it comes back."""
