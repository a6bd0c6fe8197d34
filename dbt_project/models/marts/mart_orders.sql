{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with purchases as (
    select *, coalesce(order_id, event_id) as known_order_id
    from {{ ref('stg_user_events') }}
    where event_type = 'purchase'
),

-- An order that is sent again under another event id is the first of them.
orders as (
    select distinct on (event_date, known_order_id) *
    from purchases
    order by event_date, known_order_id, event_at, event_id
)

select
    orders.known_order_id as order_id,
    orders.user_id,
    orders.event_date,
    orders.event_at as ordered_at,
    orders.platform,
    orders.payment_method,
    goods.item_count,
    {{ as_double('coalesce(goods.amount, ' ~ amount_of_goods('orders') ~ ')') }} as gross_amount,
    {{ as_double('coalesce(orders.discount, 0)') }} as discount,
    {{ as_double('coalesce(orders.shipping_fee, 0)') }} as shipping_fee,
    {{ as_double('orders.total_amount') }} as total_amount
from orders
cross join lateral (
    select
        count(*) as item_count,
        -- The lines are the amount only if all of them have one.
        case when count(amount) = count(*) then sum(amount) end as amount
    from ({{ purchase_lines('orders') }}) as line
) as goods
