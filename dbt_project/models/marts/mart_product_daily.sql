{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with events as (
    select * from {{ ref('int_product_events') }}
)

select
    product_id,
    event_date,
    {{ count_of('product_view') }} as view_count,
    {{ count_of('click') }} as click_count,
    {{ count_of('add_to_cart') }} as cart_count,
    {{ total_count('quantity', 'add_to_cart') }} as cart_quantity,
    {{ count_of('purchase') }} as purchase_count,
    {{ total_count('quantity', 'purchase') }} as purchase_quantity,
    {{ total_amount('amount') }} as revenue
from events
group by product_id, event_date
