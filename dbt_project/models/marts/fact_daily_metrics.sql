{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with users as (
    select
        event_date,
        count(*) filter (where page_view_count + click_count + purchase_count > 0) as active_users
    from {{ ref('mart_user_daily') }}
    where {{ is_built('event_date') }}
    group by event_date
),

funnel as (
    select
        event_date,
        {{ total_count('view_count') }} as views,
        {{ total_count('click_count') }} as clicks,
        {{ total_count('cart_count') }} as carts,
        {{ total_count('purchase_count') }} as purchases
    from {{ ref('mart_funnel_daily') }}
    where {{ is_built('event_date') }}
    group by event_date
),

orders as (
    select
        event_date,
        count(*) as orders,
        {{ total_amount('total_amount::numeric') }} as revenue
    from {{ ref('mart_orders') }}
    where {{ is_built('event_date') }}
    group by event_date
),

readers as (
    select event_date, count(distinct user_id) as readers
    from {{ ref('stg_webtoon_user_events') }}
    group by event_date
),

days as (
    select *
    from users
    full join funnel using (event_date)
    full join orders using (event_date)
    full join readers using (event_date)
)

select days.event_date, metric.name as metric_name, metric.value as metric_value
from days
cross join lateral (
    values
        ('daily_active_users', coalesce(active_users, 0)::double precision),
        ('daily_active_readers', coalesce(readers, 0)::double precision),
        ('page_views', coalesce(views, 0)::double precision),
        ('clicks', coalesce(clicks, 0)::double precision),
        ('cart_additions', coalesce(carts, 0)::double precision),
        ('purchases', coalesce(purchases, 0)::double precision),
        ('orders', coalesce(orders, 0)::double precision),
        ('total_revenue', coalesce(revenue, 0)),
        ('average_order_value', {{ rate('revenue', 'orders') }}),
        ('overall_conversion_rate', {{ rate('purchases', 'views') }})
) as metric (name, value)
