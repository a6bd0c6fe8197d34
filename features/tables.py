"""The PostgreSQL tables, as DDL derived from the declarations; safe to run again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from features.columns import Column, sql_type
from features.marts import PUBLISHED, BatchView
from features.views import VIEWS, FeatureView

__all__ = ["ddl", "online_table", "pii_columns"]

DIMENSIONS = (
    """CREATE TABLE IF NOT EXISTS dim.episodes (
        episode_id text PRIMARY KEY, title text NOT NULL, genre text NOT NULL,
        tags text[] NOT NULL, avg_rating double precision, published_at timestamptz)""",
    """CREATE TABLE IF NOT EXISTS dim.products (
        product_id text PRIMARY KEY, name text NOT NULL, category text NOT NULL,
        brand text, price double precision)""",
)
# `run_date`: the day that was loaded, which is replaced as a whole; an event may be of another one.
# `event` has the names of its contract. A load makes the partition of its day.
RAW = (
    """CREATE TABLE IF NOT EXISTS raw.events (
        run_date date NOT NULL, topic text NOT NULL, event_id text NOT NULL,
        event_type text, user_id text, session_id text,
        event_at timestamptz NOT NULL, event jsonb NOT NULL,
        run_id text NOT NULL, loaded_at timestamptz NOT NULL,
        PRIMARY KEY (run_date, topic, event_id)) PARTITION BY RANGE (run_date)""",
    # How the marts find the events of a day: as small as can be, since a load is nearly in order.
    """CREATE INDEX IF NOT EXISTS events_event_date ON raw.events
        USING brin (((event_at AT TIME ZONE 'UTC')::date))""",
)
OPERATIONS = (
    # What a job has committed. `watermark` holds for the epoch after it, so that a retry of that
    # epoch computes the same rows.
    """CREATE TABLE IF NOT EXISTS ops.stream_epochs (
        job text NOT NULL, checkpoint_id text NOT NULL, epoch bigint NOT NULL,
        generation bigint NOT NULL, committed_at timestamptz NOT NULL,
        watermark timestamptz, clock jsonb NOT NULL,
        rows_in bigint NOT NULL, rows_out bigint NOT NULL,
        accepted bigint NOT NULL, duplicates bigint NOT NULL, rejected bigint NOT NULL,
        PRIMARY KEY (job, checkpoint_id, epoch))""",
    """CREATE INDEX IF NOT EXISTS stream_epochs_newest ON ops.stream_epochs (job, committed_at)""",
    # Written before an epoch runs: what the wall clock decided must not change on a retry.
    """CREATE TABLE IF NOT EXISTS ops.stream_watermarks (
        job text NOT NULL, checkpoint_id text NOT NULL, epoch bigint NOT NULL,
        watermark timestamptz NOT NULL, PRIMARY KEY (job, checkpoint_id, epoch))""",
    # `layout`: what the state in the checkpoint is made for. `place`: its name below the root.
    """CREATE TABLE IF NOT EXISTS ops.stream_checkpoints (
        job text NOT NULL, generation bigint NOT NULL, place text NOT NULL, layout jsonb NOT NULL,
        state text NOT NULL CHECK (state IN ('building', 'active', 'retired')),
        made_at timestamptz NOT NULL, PRIMARY KEY (job, generation))""",
    """CREATE UNIQUE INDEX IF NOT EXISTS stream_checkpoints_active
        ON ops.stream_checkpoints (job) WHERE state = 'active'""",
    """CREATE TABLE IF NOT EXISTS ops.dead_letters (
        topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
        payload bytea, reason_code text NOT NULL, reason text NOT NULL,
        contract_version integer NOT NULL, status text NOT NULL DEFAULT 'open',
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
        PRIMARY KEY (topic, partition, "offset"))""",
    # What a replay needs besides the payload. A number: what a header says may lie before year 1.
    """ALTER TABLE ops.dead_letters
        ADD COLUMN IF NOT EXISTS key bytea, ADD COLUMN IF NOT EXISTS received_at_us bigint""",
    """CREATE INDEX IF NOT EXISTS dead_letters_open ON ops.dead_letters
        (created_at) WHERE status = 'open'""",
    # Every try to replay a letter. `ended_at` is null while nobody knows how it ended; if it was
    # sent, it stands in the letter's partition from `search_from` on, namely at `sent_offset`.
    """CREATE TABLE IF NOT EXISTS ops.dead_letter_replays (
        replay_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
        started_at timestamptz NOT NULL, ended_at timestamptz, outcome text NOT NULL,
        contract_version integer, reason_code text, reason text,
        search_from bigint, sent_offset bigint)""",
    """CREATE INDEX IF NOT EXISTS dead_letter_replays_of ON ops.dead_letter_replays
        (topic, partition, "offset")""",
    """CREATE INDEX IF NOT EXISTS dead_letter_replays_to ON ops.dead_letter_replays
        (topic, partition, sent_offset) WHERE sent_offset IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS dead_letter_replays_unknown ON ops.dead_letter_replays
        (replay_id) WHERE ended_at IS NULL""",
    # What a store did not take of an epoch that it otherwise has, and why.
    """CREATE TABLE IF NOT EXISTS ops.refused_rows (
        job text NOT NULL, checkpoint_id text NOT NULL, epoch bigint NOT NULL,
        store text NOT NULL, target text NOT NULL, key text NOT NULL,
        reason text NOT NULL, refused_at timestamptz NOT NULL,
        PRIMARY KEY (job, checkpoint_id, epoch, store, target, key))""",
    # An alert about a source, and not about an event, has no user; its id is `<topic>/<since>`.
    """CREATE TABLE IF NOT EXISTS ops.alerts (
        user_id text, event_id text NOT NULL, alert_type text NOT NULL,
        severity text NOT NULL, reason text NOT NULL, value double precision,
        threshold double precision, event_at timestamptz NOT NULL,
        PRIMARY KEY (event_id, alert_type))""",
    "ALTER TABLE ops.alerts ALTER COLUMN user_id DROP NOT NULL",
    # By topic, whether its views are to be trusted (features.breaker), and what decided it.
    """CREATE TABLE IF NOT EXISTS ops.source_health (
        topic text PRIMARY KEY, state text NOT NULL CHECK (state IN ('ok', 'degraded')),
        since timestamptz NOT NULL, seen bigint NOT NULL, share double precision NOT NULL,
        reason text)""",
    # For readers of features, who may read nothing but `online`.
    """CREATE OR REPLACE VIEW online.source_health AS
        SELECT topic, state, since, seen, share, reason FROM ops.source_health""",
    # What a dashboard tells, without who it was: readers may read nothing but `online`.
    "CREATE INDEX IF NOT EXISTS alerts_newest ON ops.alerts (event_at)",
    """CREATE OR REPLACE VIEW online.alerts AS
        SELECT event_id, alert_type, severity, reason, value, threshold, event_at
        FROM ops.alerts""",
    # The last epoch of each job, found by its index.
    """CREATE OR REPLACE VIEW online.stream_progress AS
        SELECT job, epoch, committed_at, watermark, rows_in, rejected, offsets
        FROM (SELECT DISTINCT job FROM ops.stream_checkpoints) AS jobs
        CROSS JOIN LATERAL (
            SELECT epoch, committed_at, watermark, rows_in, rejected, clock -> 'offsets' AS offsets
            FROM ops.stream_epochs AS one WHERE one.job = jobs.job
            ORDER BY committed_at DESC LIMIT 1) AS last""",
    # Every event day that a run date has had events of: a load that has them no more must still
    # rebuild the marts of that day.
    """CREATE TABLE IF NOT EXISTS ops.mart_days (
        run_date date NOT NULL, event_date date NOT NULL, PRIMARY KEY (run_date, event_date))""",
    """CREATE TABLE IF NOT EXISTS ops.quality_log (
        run_id text NOT NULL, run_at timestamptz NOT NULL, run_date date NOT NULL,
        check_name text NOT NULL, checked bigint NOT NULL, failed bigint NOT NULL,
        rate double precision, passed boolean NOT NULL, examples jsonb,
        PRIMARY KEY (run_id, check_name))""",
    """CREATE INDEX IF NOT EXISTS quality_log_days ON ops.quality_log (run_date, check_name)""",
    # Who may call the API. A key itself is nowhere: `key_hash` is its SHA-256.
    """CREATE TABLE IF NOT EXISTS ops.api_keys (
        key_id text PRIMARY KEY, key_hash bytea NOT NULL UNIQUE, name text NOT NULL,
        scopes text[] NOT NULL, created_at timestamptz NOT NULL, revoked_at timestamptz)""",
    # The one way to the keys that the API has: those that are valid, with its reader's rights.
    """CREATE OR REPLACE FUNCTION online.active_api_keys()
        RETURNS TABLE (key_id text, key_hash bytea, name text, scopes text[])
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
        AS $$SELECT key_id, key_hash, name, scopes FROM ops.api_keys WHERE revoked_at IS NULL$$""",
    # Which publication a batch view shows; `version` grows with each.
    """CREATE TABLE IF NOT EXISTS ops.published_views (
        view text PRIMARY KEY, version bigint NOT NULL, as_of_date date NOT NULL,
        updated_at timestamptz NOT NULL, rows bigint NOT NULL)""",
)


def ddl() -> list[str]:
    """Every statement, in the order they must run; the schemas exist already."""
    online = [statement for view in VIEWS.values() for statement in online_table(view)]
    batch = [statement for view in PUBLISHED.values() for statement in batch_table(view)]
    return [*DIMENSIONS, *RAW, *OPERATIONS, *online, *batch]


def pii_columns() -> dict[str, list[str]]:
    """`schema.table` -> columns that hold personal data, for column-wise grants."""
    views: tuple[FeatureView | BatchView, ...] = (*VIEWS.values(), *PUBLISHED.values())
    found = {f"online.{v.name}": _pii(v.online_columns) for v in views}
    return {table: columns for table, columns in found.items() if columns}


def _pii(columns: Iterable[Column]) -> list[str]:
    return [column.name for column in columns if column.pii]


def online_table(view: FeatureView) -> list[str]:
    """The statements that bring `online.<name>` to what is declared."""
    columns = [_column(column) for column in view.online_columns]
    body = ",\n        ".join([*columns, f"PRIMARY KEY ({', '.join(view.key)})"])
    grown = ", ".join(f"ADD COLUMN IF NOT EXISTS {_column(column)}" for column in view.features)
    return [
        # Rows are rewritten all the time; room on the page keeps such updates off the index.
        f"CREATE TABLE IF NOT EXISTS online.{view.name} (\n        {body}) WITH (fillfactor = 70)",
        # What has been declared since the table was made starts empty.
        f"ALTER TABLE online.{view.name} {grown}",
        *_comments(view.name, view.columns),
    ]


def batch_table(view: BatchView) -> list[str]:
    """The statements that bring `online.<name>` of a batch view to what is declared."""
    columns = [_column(column) for column in view.online_columns]
    body = ",\n        ".join([*columns, f"PRIMARY KEY ({', '.join(view.mart.key)})"])
    grown = ", ".join(f"ADD COLUMN IF NOT EXISTS {_column(c)}" for c in view.mart.columns)
    return [
        f"CREATE TABLE IF NOT EXISTS online.{view.name} (\n        {body})",
        f"ALTER TABLE online.{view.name} {grown}",
        *_comments(view.name, view.mart.columns),
    ]


def _column(column: Column) -> str:
    return f"{column.name} {sql_type(column)}{'' if column.nullable else ' NOT NULL'}"


def _comments(view: str, columns: Iterable[Column]) -> Iterator[str]:
    for column in columns:
        yield f"COMMENT ON COLUMN online.{view}.{column.name} IS $doc${column.doc}$doc$"
