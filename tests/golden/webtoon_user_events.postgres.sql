CREATE TABLE IF NOT EXISTS "webtoon_user_events" (
  "event_id" text NOT NULL,
  "event_at" timestamptz NOT NULL,
  "event_date" date NOT NULL,
  "user_id" text NOT NULL,
  "session_id" text NOT NULL,
  "episode_id" text NOT NULL,
  "event_type" text NOT NULL,
  "scroll_ratio" double precision,
  "country" text NOT NULL,
  "device" text NOT NULL,
  "platform" text NOT NULL,
  "experiment_group" text,
  "ui_version" text,
  "extra" jsonb,
  "kafka_partition" integer NOT NULL,
  "kafka_offset" bigint NOT NULL,
  "received_at" timestamptz NOT NULL,
  "ingested_at" timestamptz NOT NULL,
  "epoch" bigint NOT NULL,
  "contract_version" integer NOT NULL,
  PRIMARY KEY ("event_date", "event_id"),
  CHECK ("event_type" IN ('enter', 'scroll', 'complete', 'exit')),
  CHECK ("scroll_ratio" >= 0.0),
  CHECK ("scroll_ratio" <= 1.0),
  CHECK ("event_type" NOT IN ('scroll') OR "scroll_ratio" IS NOT NULL),
  CHECK ("country" ~ '^(?:[A-Z]{2})$'),
  CHECK ("device" IN ('mobile', 'tablet', 'desktop')),
  CHECK ("platform" IN ('ios', 'android', 'web'))
)
PARTITION BY RANGE ("event_date");

COMMENT ON TABLE "webtoon_user_events" IS 'A reader enters an episode, scrolls, and completes or leaves it.';
COMMENT ON COLUMN "webtoon_user_events"."event_id" IS 'Unique id of the event.';
COMMENT ON COLUMN "webtoon_user_events"."event_at" IS 'Event time.';
COMMENT ON COLUMN "webtoon_user_events"."event_date" IS 'Day of the event time, UTC.';
COMMENT ON COLUMN "webtoon_user_events"."user_id" IS 'The reader.';
COMMENT ON COLUMN "webtoon_user_events"."session_id" IS 'One reading session.';
COMMENT ON COLUMN "webtoon_user_events"."episode_id" IS 'The episode being read.';
COMMENT ON COLUMN "webtoon_user_events"."event_type" IS 'What the reader did.';
COMMENT ON COLUMN "webtoon_user_events"."scroll_ratio" IS 'How far down the episode the reader is.';
COMMENT ON COLUMN "webtoon_user_events"."country" IS 'ISO-3166 alpha-2, upper case.';
COMMENT ON COLUMN "webtoon_user_events"."device" IS 'Kind of device.';
COMMENT ON COLUMN "webtoon_user_events"."platform" IS 'Where the application runs.';
COMMENT ON COLUMN "webtoon_user_events"."experiment_group" IS 'A/B/C group of the reader.';
COMMENT ON COLUMN "webtoon_user_events"."ui_version" IS 'User-interface version shown.';
COMMENT ON COLUMN "webtoon_user_events"."extra" IS 'Fields the contract does not know.';
COMMENT ON COLUMN "webtoon_user_events"."kafka_partition" IS 'Partition it was read from.';
COMMENT ON COLUMN "webtoon_user_events"."kafka_offset" IS 'Offset it was read from.';
COMMENT ON COLUMN "webtoon_user_events"."received_at" IS 'When it reached us.';
COMMENT ON COLUMN "webtoon_user_events"."ingested_at" IS 'When its epoch was processed.';
COMMENT ON COLUMN "webtoon_user_events"."epoch" IS 'Epoch that archived it.';
COMMENT ON COLUMN "webtoon_user_events"."contract_version" IS 'Contract that accepted it.';
