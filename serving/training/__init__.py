"""Training sets from the log of what was served: point-in-time correct, in one call."""

from serving.training.errors import (
    BadFeatures,
    BadLabels,
    BadOutput,
    NoLog,
    TrainingSetError,
)
from serving.training.sets import training_set

__all__ = ["BadFeatures", "BadLabels", "BadOutput", "NoLog", "TrainingSetError", "training_set"]
