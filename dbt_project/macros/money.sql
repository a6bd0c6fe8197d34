{# What was paid for a purchase; unknown when the event does not say. #}
{% macro paid() -%} case when event_type = 'purchase' then total_amount end{% endmacro %}


{# What the goods of a purchase cost, as told by what was paid: before discount, without shipping. #}
{% macro amount_of_goods(purchase) -%}
    {%- set amount -%}
        {{ purchase }}.total_amount + coalesce({{ purchase }}.discount, 0) - coalesce({{ purchase }}.shipping_fee, 0)
    {%- endset -%}
    case when {{ amount }} < 0 then 0 else {{ amount }} end
{%- endmacro %}


{#
    The lines of a purchase, as a query that stands beside it (lateral): its items, or, where it has
    none, its own product. `amount` is what a line costs, null when unknown.
#}
{% macro purchase_lines(purchase) -%}
    select
        item.product_id,
        coalesce(item.quantity, 1) as quantity,
        coalesce(item.quantity, 1) * item.unit_price as amount
    from jsonb_to_recordset({{ purchase }}.items)
        as item (product_id text, quantity bigint, unit_price numeric)
    union all
    select
        {{ purchase }}.product_id,
        coalesce({{ purchase }}.quantity, 1),
        coalesce(
            coalesce({{ purchase }}.quantity, 1) * {{ purchase }}.price, {{ amount_of_goods(purchase) }}
        )
    where coalesce({{ purchase }}.items, '[]') = '[]'
{%- endmacro %}
