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
),

goods as (
    select
        event_date,
        event_id,
        count(*) as item_count,
        -- The lines are the amount only if all of them have one.
        case when count(amount) = count(*) then sum(amount) end as amount
    from {{ ref('int_purchase_lines') }}
    group by event_date, event_id
)

select
    orders.known_order_id as order_id,
    orders.user_id,
    orders.event_date,
    orders.event_at as ordered_at,
    orders.platform,
    orders.payment_method,
    goods.item_count,
    {{ as_double('coalesce(goods.amount, ' ~ amount_of_goods() ~ ')') }} as gross_amount,
    {{ as_double('coalesce(orders.discount, 0)') }} as discount,
    {{ as_double('coalesce(orders.shipping_fee, 0)') }} as shipping_fee,
    {{ as_double('orders.total_amount') }} as total_amount
from orders
inner join goods on orders.event_date = goods.event_date and orders.event_id = goods.event_id
