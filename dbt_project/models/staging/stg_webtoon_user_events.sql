{#- Generated from the contract by `python -m infra.dbt_files`; do not edit. -#}
with events as (
    select *, {{ event_day('event_at') }} as event_date
    from {{ source('raw', 'events') }}
    where topic = 'webtoon_user_events' and {{ is_built(event_day('event_at')) }}
)

select
    event_id,
    event_type,
    user_id,
    session_id,
    event_at,
    event_date,
    event ->> 'episode_id' as episode_id,
    (event ->> 'scroll_ratio')::numeric as scroll_ratio,
    event ->> 'country' as country,
    event ->> 'device' as device,
    event ->> 'platform' as platform,
    event ->> 'experiment_group' as experiment_group,
    event ->> 'ui_version' as ui_version
from events
where {{ is_first_load() }}
