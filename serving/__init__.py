"""What reads the stores and never writes features: the API, recommendations, training sets."""
