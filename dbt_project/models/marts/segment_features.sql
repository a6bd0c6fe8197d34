with reads as (
    select *, extract(hour from ended_at at time zone 'UTC')::integer as hour_of_day
    from {{ ref('int_reads') }}
    where {{ is_within('event_date', var('recent_days')) }}
)

select
    country,
    genre,
    hour_of_day,
    {{ as_of_day() }} as as_of_date,
    count(*) as read_count,
    {{ completion_rate_of_reads() }} as avg_completion_rate,
    {{ exit_rate_of_reads() }} as exit_rate
from reads
group by country, genre, hour_of_day
