with reads as (
    select * from {{ ref('int_reads') }} where experiment_group is not null
),

groups as (
    select
        experiment_group,
        ui_version,
        count(*) as read_count,
        {{ completion_rate_of_reads() }} as avg_completion_rate,
        {{ exit_rate_of_reads() }} as exit_rate
    from reads
    group by experiment_group, ui_version
),

controls as (
    select * from groups where experiment_group = 'A'
),

tested as (
    select
        groups.*,
        {{ z_of_rates('groups.exit_rate', 'groups.read_count', 'controls.exit_rate', 'controls.read_count') }} as z
    from groups
    left join controls
        on groups.ui_version = controls.ui_version and groups.experiment_group <> 'A'
)

select
    experiment_group,
    ui_version,
    {{ as_of_day() }} as as_of_date,
    read_count,
    avg_completion_rate,
    exit_rate,
    z,
    {{ p_of_z('z') }} as p_value
from tested
