"""Which ranker ranks for whom, as the settings say."""

from __future__ import annotations

from infra.errors import SettingsError
from infra.settings import Settings
from serving.recommend.arms import Arm, Arms
from serving.recommend.model import BadModel, load_model

__all__ = ["arms_of"]

RULES, MODEL = "rules", "model"


def arms_of(settings: Settings) -> Arms:
    """The rules alone, or beside them a model; raises `SettingsError` for one that is no model."""
    rules = Arm(name=RULES, share=1.0)
    if settings.ranker_model is None:
        return Arms([rules], experiment=settings.experiment)
    try:
        model = load_model(settings.ranker_model)
    except BadModel as error:
        raise SettingsError(f"Setting ranker_model cannot be used: {error}") from error
    share = settings.ranker_model_share
    tried = Arm(name=MODEL, share=share, domain=model.domain, ranker=model)
    return Arms([tried, rules], experiment=settings.experiment)
