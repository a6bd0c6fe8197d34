with events as (
    select * from {{ ref('stg_user_events') }}
    where event_type in ('product_view', 'click', 'add_to_cart') and product_id is not null
),

purchased as (
    select
        event_date,
        event_id,
        product_id,
        sum(quantity) as quantity,
        sum(amount) as amount
    from {{ ref('int_purchase_lines') }}
    where product_id is not null
    group by event_date, event_id, product_id
)

select event_date, event_id, product_id, event_type, quantity, null::numeric as amount
from events
union all
select event_date, event_id, product_id, 'purchase' as event_type, quantity, amount
from purchased
