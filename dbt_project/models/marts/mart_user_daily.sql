{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with events as (
    select * from {{ ref('stg_user_events') }} where user_id is not null
)

select
    user_id,
    event_date,
    count(distinct session_id) as session_count,
    {{ count_of('page_view') }} as page_view_count,
    {{ count_of('click') }} as click_count,
    {{ count_of('add_to_cart') }} as cart_count,
    {{ count_of('search') }} as search_count,
    {{ count_of('purchase') }} as purchase_count,
    {{ total_amount(paid()) }} as revenue
from events
group by user_id, event_date
