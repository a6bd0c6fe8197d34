{# A condition that no row breaks; where it is unknown nothing is said. #}
{% test holds(model, condition) %}
    select * from {{ model }} where not ({{ condition }})
{% endtest %}
