"""What a user of Feast does with an exported repository; runs with the python of Feast's own
environment, in the folder of the repository.

Reads a document from standard input and prints one: `online` are calls of `get_online_features`,
`unknown` is one that must fail, `history` is one of `get_historical_features`.
"""

from __future__ import annotations

import json
import sys

import pandas as pd
from feast import FeatureStore


def main(*, online: list[dict], unknown: dict, history: dict) -> None:
    store = FeatureStore(repo_path=".")
    answers = [asked(store, call).to_dict(include_event_timestamps=False) for call in online]
    try:
        asked(store, unknown)
        error = None
    except Exception as raised:  # noqa: BLE001 - which one it is, is what is tested
        error = [type(raised).__name__, str(raised)]
    labels = pd.DataFrame(history["labels"])
    labels["event_timestamp"] = pd.to_datetime(labels["event_timestamp"], utc=True)
    joined = store.get_historical_features(labels, history["features"]).to_df()
    rows = json.loads(joined.to_json(orient="records", date_format="iso", date_unit="us"))
    print(json.dumps({"online": answers, "error": error, "history": rows}))


def asked(store: FeatureStore, call: dict):
    features = store.get_feature_service(call["service"]) if "service" in call else call["features"]
    return store.get_online_features(
        features=features,
        entity_rows=call["entities"],
        full_feature_names=call.get("full_feature_names", False),
    )


if __name__ == "__main__":
    main(**json.load(sys.stdin))
