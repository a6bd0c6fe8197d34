CREATE TABLE IF NOT EXISTS `webtoon_user_events` (
  `event_id` STRING NOT NULL COMMENT 'Unique id of the event.',
  `event_at` TIMESTAMP NOT NULL COMMENT 'Event time.',
  `event_date` DATE NOT NULL COMMENT 'Day of the event time, UTC.',
  `user_id` STRING NOT NULL COMMENT 'The reader.',
  `session_id` STRING NOT NULL COMMENT 'One reading session.',
  `episode_id` STRING NOT NULL COMMENT 'The episode being read.',
  `event_type` STRING NOT NULL COMMENT 'What the reader did.',
  `scroll_ratio` DOUBLE COMMENT 'How far down the episode the reader is.',
  `country` STRING NOT NULL COMMENT 'ISO-3166 alpha-2, upper case.',
  `device` STRING NOT NULL COMMENT 'Kind of device.',
  `platform` STRING NOT NULL COMMENT 'Where the application runs.',
  `experiment_group` STRING COMMENT 'A/B/C group of the reader.',
  `ui_version` STRING COMMENT 'User-interface version shown.',
  `extra` MAP<STRING, STRING> COMMENT 'Fields the contract does not know.',
  `kafka_partition` INT NOT NULL COMMENT 'Partition it was read from.',
  `kafka_offset` BIGINT NOT NULL COMMENT 'Offset it was read from.',
  `received_at` TIMESTAMP NOT NULL COMMENT 'When it reached us.',
  `ingested_at` TIMESTAMP NOT NULL COMMENT 'When its epoch was processed.',
  `epoch` BIGINT NOT NULL COMMENT 'Epoch that archived it.',
  `contract_version` INT NOT NULL COMMENT 'Contract that accepted it.'
)
USING DELTA
PARTITIONED BY (`event_date`)
COMMENT 'A reader enters an episode, scrolls, and completes or leaves it.';
