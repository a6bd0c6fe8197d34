"""Programs that show how userflow is used, each run by a test."""
