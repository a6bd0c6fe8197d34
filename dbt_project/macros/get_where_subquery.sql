{# `where: built_days` looks at the days of this build only: a mart's history was tested when it was built. #}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if not where -%}
        {{ relation }}
    {%- else -%}
        (select * from {{ relation }} where {{ is_built('event_date') if where == 'built_days' else where }}) as tested
    {%- endif -%}
{%- endmacro %}
