{# How many events of a type. #}
{% macro count_of(event_type) -%}
    count(*) filter (where event_type = '{{ event_type }}')
{%- endmacro %}


{# A sum of counts, of events of one type or of all; one that no long can hold is the largest one. #}
{% macro total_count(expression, event_type=none) -%}
    {%- set total -%}
        sum({{ expression }}){% if event_type %} filter (where event_type = '{{ event_type }}'){% endif %}
    {%- endset -%}
    least(coalesce({{ total }}, 0), 9223372036854775807)::bigint
{%- endmacro %}


{# Exact until here, so that no order of adding changes a digit; bounded by what a double can hold. #}
{% macro as_double(amount) -%}
    (case
        when {{ amount }} > 1.7976931348623157e308 then 1.7976931348623157e308
        else {{ amount }}
    end)::double precision
{%- endmacro %}


{# A sum of money; what is unknown adds nothing. #}
{% macro total_amount(expression) -%}
    {{ as_double('coalesce(sum(' ~ expression ~ '), 0)') }}
{%- endmacro %}


{# A ratio of two counts; null where there is nothing to divide by. #}
{% macro rate(of, to) -%}
    ({{ of }})::double precision / nullif({{ to }}, 0)
{%- endmacro %}


{# A mean as a double; null of nothing. #}
{% macro mean(expression) -%}
    avg({{ expression }})::double precision
{%- endmacro %}


{# What reads look like on average; every model that sums up reads has these. #}
{% macro completion_rate_of_reads() -%} {{ mean('completion_rate') }}{% endmacro %}
{% macro exit_rate_of_reads() -%} {{ rate('count(*) filter (where is_exit)', 'count(*)') }}{% endmacro %}
{% macro dwell_time_of_reads() -%} {{ mean('dwell_time_ms') }}{% endmacro %}
