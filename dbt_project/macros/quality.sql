{% macro median(expression) -%} percentile_cont(0.5) within group (order by {{ expression }}){% endmacro %}


{# An advantage is -1..1; nothing to compare with is none. #}
{% macro clipped(advantage) -%}
    case
        when {{ advantage }} > 1 then 1
        when {{ advantage }} < -1 then -1
        else coalesce({{ advantage }}, 0)
    end
{%- endmacro %}


{#
    0..100, 50 is usual in the genre: completion and exits against its median in quarters, dwell time
    in doublings. Of few reads little is concluded. The stream's formula, features/boards.py.
#}
{% macro quality_score(episode, usual) -%}
    50 + 50 * {{ episode }}.read_count / ({{ episode }}.read_count + 20.0) * (
        0.5 * {{ clipped('(' ~ episode ~ '.avg_completion_rate - ' ~ usual ~ '.completion_rate) / 0.25') }}
        + 0.3 * {{ clipped('(' ~ usual ~ '.exit_rate - ' ~ episode ~ '.exit_rate) / 0.25') }}
        + 0.2 * {{ clipped(doublings(episode ~ '.avg_dwell_time_ms', usual ~ '.dwell_time_ms')) }}
    )
{%- endmacro %}


{# log2 of a ratio. A time of 0 has no logarithm: it is as short as can be. #}
{% macro doublings(value, usual) -%}
    case
        when {{ usual }} > 0 and {{ value }} > 0 then ln({{ value }} / {{ usual }}) / ln(2.0)
        when {{ usual }} > 0 then -1
        when {{ value }} > 0 then 1
    end
{%- endmacro %}


{% macro quality_label(score) -%}
    case when {{ score }} >= 60 then 'boost' when {{ score }} <= 40 then 'exclude' else 'neutral' end
{%- endmacro %}
