{#
    DELETE + INSERT of the days that a build replaces, in one transaction. dbt's own delete+insert
    deletes only days that have new rows: a day that became empty would keep its old ones.
#}
{% macro get_incremental_replace_days_sql(arg_dict) %}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') %}
    delete from {{ arg_dict['target_relation'] }} where {{ is_built('event_date') }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
