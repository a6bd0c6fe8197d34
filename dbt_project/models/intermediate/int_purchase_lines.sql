with purchases as (
    select * from {{ ref('stg_user_events') }} where event_type = 'purchase'
),

items as (
    select
        purchases.event_id,
        purchases.event_date,
        item.product_id,
        coalesce(item.quantity, 1) as quantity,
        coalesce(item.quantity, 1) * item.unit_price as amount
    from purchases
    cross join lateral jsonb_to_recordset(purchases.items) as item (
        product_id text, quantity bigint, unit_price numeric
    )
),

singles as (
    select
        event_id,
        event_date,
        product_id,
        coalesce(quantity, 1) as quantity,
        coalesce(coalesce(quantity, 1) * price, {{ amount_of_goods() }}) as amount
    from purchases
    where coalesce(items, '[]') = '[]'
)

select * from items
union all
select * from singles
