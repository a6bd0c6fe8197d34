{# What was paid for a purchase; unknown when the event does not say. #}
{% macro paid() -%} case when event_type = 'purchase' then total_amount end{% endmacro %}


{# What the goods of a purchase cost, as told by what was paid: before discount, without shipping. #}
{% macro amount_of_goods() -%}
    {%- set amount = 'total_amount + coalesce(discount, 0) - coalesce(shipping_fee, 0)' -%}
    case when {{ amount }} < 0 then 0 else {{ amount }} end
{%- endmacro %}
