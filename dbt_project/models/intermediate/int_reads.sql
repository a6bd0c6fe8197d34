{{ config(materialized='table') }}

with parts as (
    select * from {{ ref('int_visit_parts') }}
    -- A read belongs to the day it ends on; the day before has the part that it may begin with.
    where {{ is_within('event_date', var('lookback_days') + 1) }}
        or event_date = {{ as_of_day() }} + 1
),

marked as (
    select *, {{ starts_visit('lag(ended_at) over in_order', 'started_at') }} as starts
    from parts
    window in_order as (partition by session_id, episode_id order by started_at)
),

numbered as (
    select *, sum(starts) over in_order as visit
    from marked
    window in_order as (partition by session_id, episode_id order by started_at)
),

reads as (
    select
        session_id,
        episode_id,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        {{ of_first('user_id', 'started_at') }} as user_id,
        {{ of_first('country', 'started_at') }} as country,
        {{ of_first('experiment_group', 'started_at') }} as experiment_group,
        {{ of_first('ui_version', 'started_at') }} as ui_version,
        bool_or(has_complete) as is_completed,
        bool_or(has_exit) as has_exit,
        coalesce(max(max_scroll_ratio), 0) as max_scroll_ratio,
        sum(scroll_ratio_sum) / nullif(sum(scroll_count), 0) as avg_scroll_ratio
    from numbered
    group by session_id, episode_id, visit
)

select
    reads.session_id,
    reads.episode_id,
    reads.user_id,
    reads.country,
    reads.experiment_group,
    coalesce(reads.ui_version, '') as ui_version,
    reads.started_at,
    reads.ended_at,
    {{ event_day('reads.ended_at') }} as event_date,
    {{ known_genre('episodes.genre') }} as genre,
    reads.is_completed,
    reads.has_exit and not reads.is_completed as is_exit,
    case when reads.is_completed then 1 else reads.max_scroll_ratio end as completion_rate,
    reads.avg_scroll_ratio,
    floor(extract(epoch from reads.ended_at - reads.started_at) * 1000)::bigint as dwell_time_ms
from reads
left join {{ source('dim', 'episodes') }} as episodes on reads.episode_id = episodes.episode_id
where {{ is_within(event_day('reads.ended_at'), var('lookback_days')) }}
