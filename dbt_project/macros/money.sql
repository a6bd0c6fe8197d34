{# What was paid for a purchase; unknown when the event does not say. #}
{% macro paid() -%} case when event_type = 'purchase' then total_amount end{% endmacro %}


{# What the goods of a purchase cost, as told by what was paid: before discount, without shipping. #}
{% macro amount_of_goods() -%}
    greatest(total_amount + coalesce(discount, 0) - coalesce(shipping_fee, 0), 0)
{%- endmacro %}
