{# The UTC day of a point in time. #}
{% macro event_day(at) -%}
    ({{ at }} at time zone 'UTC')::date
{%- endmacro %}


{# Whether a day is one of those that this build replaces. #}
{% macro is_built(day) -%}
    {%- if var('event_dates') is none -%}
        {{ day }} is not null
    {%- else -%}
        {{ day }} = any (array['{{ var("event_dates") | join("', '") }}']::date[])
    {%- endif -%}
{%- endmacro %}


{# The last day that features know of. #}
{% macro as_of_day() -%}
    {%- if var('as_of') is none -%}
        ({{ event_day('now()') }} - 1)
    {%- else -%}
        date '{{ var("as_of") }}'
    {%- endif -%}
{%- endmacro %}


{# Whether a day is one of the last `days` up to the day that features know of. #}
{% macro is_within(day, days) -%}
    {{ day }} > {{ as_of_day() }} - {{ days }} and {{ day }} <= {{ as_of_day() }}
{%- endmacro %}
