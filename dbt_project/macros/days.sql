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


{#
    Whether no earlier run date has loaded the same event of `events`. A copy has the time of its
    original, so only run dates with events of the built days matter; one alone repeats no id.
#}
{% macro is_first_load() -%}
    {%- set run_dates = var('run_dates') -%}
    {%- if run_dates is not none and run_dates | length < 2 -%}
        true
    {%- else -%}
        not exists (
            select from {{ source('raw', 'events') }} as earlier
            where earlier.topic = events.topic
                and earlier.event_id = events.event_id
                and {{ event_day('earlier.event_at') }} = events.event_date
                and earlier.run_date < events.run_date
                {% if run_dates is not none -%}
                and earlier.run_date = any (array['{{ run_dates[:-1] | join("', '") }}']::date[])
                {%- endif %}
        )
    {%- endif -%}
{%- endmacro %}
