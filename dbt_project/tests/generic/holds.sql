{# Conditions that no row breaks; where one is unknown nothing is said. #}
{% test holds(model, conditions) %}
    select * from {{ model }} where not ({{ conditions | join(') or not (') }})
{% endtest %}
