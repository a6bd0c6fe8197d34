"""A standalone Airflow of one home: its configuration, its processes, and its API as a client."""

from infra.airflow_stack.api import AirflowApi, Run, TaskState
from infra.airflow_stack.stack import AirflowStack

__all__ = ["AirflowApi", "AirflowStack", "Run", "TaskState"]
