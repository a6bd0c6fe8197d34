"""Reading behaviour of the webtoon platform."""

from __future__ import annotations

from features.contract import Contract, Field, FieldType

__all__ = ["COUNTRY", "DEVICES", "PLATFORMS", "WEBTOON"]

DEVICES = ("mobile", "tablet", "desktop")
PLATFORMS = ("ios", "android", "web")
COUNTRY = r"[A-Z]{2}"

WEBTOON = Contract(
    name="webtoon",
    topic="webtoon_user_events",
    version=1,
    doc="A reader enters an episode, scrolls, and completes or leaves it.",
    key=("session_id",),
    fields=(
        Field(name="event_id", type=FieldType.ID, doc="Unique id of the event; derived if absent."),
        Field(name="user_id", type=FieldType.ID, required=True, doc="The reader.", pii=True),
        Field(
            name="session_id",
            type=FieldType.ID,
            required=True,
            aliases=("user_session",),
            doc="One reading session.",
        ),
        Field(name="episode_id", type=FieldType.ID, required=True, doc="The episode being read."),
        Field(
            name="event_type",
            type=FieldType.STRING,
            required=True,
            allowed=("enter", "scroll", "complete", "exit"),
            doc="What the reader did.",
        ),
        Field(
            name="scroll_ratio",
            type=FieldType.DOUBLE,
            required_for=("scroll",),
            minimum=0.0,
            maximum=1.0,
            unit="ratio",
            doc="How far down the episode the reader is.",
        ),
        Field(
            name="country",
            type=FieldType.STRING,
            required=True,
            pattern=COUNTRY,
            doc="ISO-3166 alpha-2, upper case.",
        ),
        Field(
            name="device",
            type=FieldType.STRING,
            required=True,
            allowed=DEVICES,
            doc="Kind of device.",
        ),
        Field(
            name="platform",
            type=FieldType.STRING,
            required=True,
            allowed=PLATFORMS,
            doc="Where the application runs.",
        ),
        Field(name="timestamp", type=FieldType.TIME, required=True, doc="Event time."),
        Field(name="experiment_group", type=FieldType.STRING, doc="A/B/C group of the reader."),
        Field(name="ui_version", type=FieldType.STRING, doc="User-interface version shown."),
    ),
)
