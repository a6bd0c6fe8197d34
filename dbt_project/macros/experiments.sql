{# The pooled two-proportion z-test of a rate against another; null where nothing can be said. #}
{% macro z_of_rates(rate, count, other_rate, other_count) -%}
    {%- set pooled = '(' ~ rate ~ ' * ' ~ count ~ ' + ' ~ other_rate ~ ' * ' ~ other_count ~ ') / (' ~ count ~ ' + ' ~ other_count ~ ')' -%}
    ({{ rate }} - {{ other_rate }}) / nullif(sqrt(
        ({{ pooled }}) * (1 - ({{ pooled }})) * (1.0 / {{ count }} + 1.0 / {{ other_count }})
    ), 0)
{%- endmacro %}


{# Two-sided. #}
{% macro p_of_z(z) -%} erfc(abs({{ z }}) / sqrt(2.0::double precision)){% endmacro %}
