"""Reading the online store: Redis first, PostgreSQL for the rest, the same values from both."""
