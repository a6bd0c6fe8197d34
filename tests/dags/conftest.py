"""A home of its own for the Airflow that these tests import, before any of them imports it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from dag_bag import DAGS

# Airflow fixes its home when it is imported, and would write below the user's.
HOME = tempfile.mkdtemp(prefix="userflow-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = HOME
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
