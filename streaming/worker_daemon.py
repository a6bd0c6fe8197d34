"""The process that Spark forks its Python workers from, with what they all need imported once.

A worker of Spark's own daemon imports pandas and pyspark after the fork, two seconds of a core for
each of the workers that a query starts. Arrow and NumPy take care of their threads in a fork;
polars does not, so every worker imports it for itself.
"""

import pandas as pd  # noqa: F401
import pyarrow as pa  # noqa: F401
import pyspark.daemon
import pyspark.sql.streaming.stateful_processor
import pyspark.worker

if __name__ == "__main__":
    pyspark.daemon.manager()
