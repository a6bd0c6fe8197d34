{#- Generated from the contract by `python -m infra.dbt_files`; do not edit. -#}
with events as (
    select *, {{ event_day('event_at') }} as event_date
    from {{ source('raw', 'events') }}
    where topic = 'user-events' and {{ is_built(event_day('event_at')) }}
)

select
    event_id,
    event_type,
    user_id,
    session_id,
    event_at,
    event_date,
    event ->> 'platform' as platform,
    event ->> 'device_type' as device_type,
    event ->> 'page_url' as page_url,
    event ->> 'page_type' as page_type,
    event ->> 'referrer' as referrer,
    event ->> 'element_id' as element_id,
    event ->> 'element_type' as element_type,
    event ->> 'search_query' as search_query,
    (event ->> 'result_count')::bigint as result_count,
    event ->> 'product_id' as product_id,
    event ->> 'category' as category,
    event ->> 'category_id' as category_id,
    event ->> 'brand' as brand,
    (event ->> 'price')::numeric as price,
    (event ->> 'quantity')::bigint as quantity,
    event ->> 'order_id' as order_id,
    event ->> 'payment_method' as payment_method,
    (event ->> 'total_amount')::numeric as total_amount,
    (event ->> 'discount')::numeric as discount,
    (event ->> 'shipping_fee')::numeric as shipping_fee,
    nullif(event -> 'items', 'null') as items,
    event ->> 'weather_status' as weather_status,
    (event ->> 'temperature')::numeric as temperature,
    event ->> 'time_of_day' as time_of_day,
    event ->> 'day_of_week' as day_of_week,
    (event ->> 'login_status')::boolean as login_status,
    event ->> 'segment' as segment,
    event ->> 'utm_source' as utm_source,
    event ->> 'utm_campaign' as utm_campaign,
    event ->> 'experiment_group' as experiment_group,
    event ->> 'ui_version' as ui_version
from events
where {{ is_first_load() }}
