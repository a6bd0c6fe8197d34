"""The steps of loading a day: read, decode, judge, write. `infra.raw_load` puts them together."""
