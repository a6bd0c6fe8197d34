{{ config(
    materialized='incremental',
    incremental_strategy='replace_days',
    on_schema_change='fail',
    indexes=[{'columns': ['event_date']}],
) }}

with events as (
    select * from {{ ref('stg_webtoon_user_events') }}
),

marked as (
    select *, {{ starts_visit('lag(event_at) over in_order', 'event_at') }} as starts
    from events
    window in_order as (
        partition by event_date, session_id, episode_id order by event_at, event_id
    )
),

numbered as (
    select *, sum(starts) over in_order as visit
    from marked
    window in_order as (
        partition by event_date, session_id, episode_id order by event_at, event_id
    )
)

select
    session_id,
    episode_id,
    event_date,
    min(event_at) as started_at,
    max(event_at) as ended_at,
    {{ of_first('user_id', 'event_at, event_id') }} as user_id,
    {{ of_first('country', 'event_at, event_id') }} as country,
    {{ of_first('experiment_group', 'event_at, event_id') }} as experiment_group,
    {{ of_first('ui_version', 'event_at, event_id') }} as ui_version,
    bool_or(event_type = 'complete') as has_complete,
    bool_or(event_type = 'exit') as has_exit,
    max(scroll_ratio) as max_scroll_ratio,
    sum(scroll_ratio) filter (where event_type = 'scroll') as scroll_ratio_sum,
    {{ count_of('scroll') }} as scroll_count
from numbered
group by session_id, episode_id, event_date, visit
