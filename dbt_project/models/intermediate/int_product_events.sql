with events as (
    select * from {{ ref('stg_user_events') }}
    where event_type in ('product_view', 'click', 'add_to_cart', 'purchase')
)

select
    events.event_date,
    events.event_id,
    events.event_type,
    product.product_id,
    product.quantity,
    product.amount
from events
cross join lateral (
    select product_id, sum(quantity) as quantity, sum(amount) as amount
    from ({{ purchase_lines('events') }}) as line
    where events.event_type = 'purchase'
    group by product_id
    union all
    select events.product_id, coalesce(events.quantity, 1), null
    where events.event_type <> 'purchase'
) as product
where product.product_id is not null
