{# 1 where more than 30 minutes lie between what ended and what starts, or nothing came before. #}
{% macro starts_visit(ended_before, started_at) -%}
    case when {{ started_at }} - {{ ended_before }} <= interval '30 minutes' then 0 else 1 end
{%- endmacro %}


{# The value that the first of a group has, null if that has none. #}
{% macro of_first(column, order_by) -%}
    (array_agg({{ column }} order by {{ order_by }}))[1]
{%- endmacro %}


{# Genre of an episode that dim.episodes does not have. #}
{% macro known_genre(genre) -%} coalesce({{ genre }}, 'unknown'){% endmacro %}
