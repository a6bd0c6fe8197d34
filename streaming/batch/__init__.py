"""What Spark computes once a day from the archive: one module for each job, one table of all."""
