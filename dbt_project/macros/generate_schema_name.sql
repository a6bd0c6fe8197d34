{# A schema's name is exactly what is configured: `marts`, not `<target>_marts`. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
