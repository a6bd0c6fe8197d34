"""Session replay: what one visitor did, in order, as the archive has it."""
