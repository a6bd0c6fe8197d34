{{ config(materialized='incremental', incremental_strategy='replace_days') }}

with events as (
    select * from {{ ref('stg_user_events') }}
),

users as (
    select
        coalesce(platform, 'unknown') as platform,
        event_date,
        user_id,
        {{ count_of('page_view') }} as view_count,
        {{ count_of('click') }} as click_count,
        {{ count_of('add_to_cart') }} as cart_count,
        {{ count_of('purchase') }} as purchase_count
    from events
    group by coalesce(platform, 'unknown'), event_date, user_id
),

platforms as (
    select
        platform,
        event_date,
        {{ total_count('view_count') }} as view_count,
        {{ total_count('click_count') }} as click_count,
        {{ total_count('cart_count') }} as cart_count,
        {{ total_count('purchase_count') }} as purchase_count,
        count(user_id) filter (where view_count > 0) as view_users,
        count(user_id) filter (where click_count > 0) as click_users,
        count(user_id) filter (where cart_count > 0) as cart_users,
        count(user_id) filter (where purchase_count > 0) as purchase_users
    from users
    group by platform, event_date
)

select
    platform,
    event_date,
    view_count,
    click_count,
    cart_count,
    purchase_count,
    view_users,
    click_users,
    cart_users,
    purchase_users,
    {{ rate('click_count', 'view_count') }} as view_to_click_rate,
    {{ rate('cart_count', 'click_count') }} as click_to_cart_rate,
    {{ rate('purchase_count', 'cart_count') }} as cart_to_purchase_rate,
    {{ rate('purchase_count', 'view_count') }} as overall_rate
from platforms
