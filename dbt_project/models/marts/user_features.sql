with reads as (
    select * from {{ ref('int_reads') }}
),

genres as (
    select
        user_id,
        genre,
        row_number() over (
            partition by user_id order by count(*) desc, max(ended_at) desc, genre
        ) as place
    from reads
    group by user_id, genre
),

users as (
    select
        user_id,
        count(*) as read_count,
        {{ completion_rate_of_reads() }} as user_avg_completion_rate,
        {{ exit_rate_of_reads() }} as user_exit_rate,
        {{ dwell_time_of_reads() }} as avg_dwell_time_ms,
        max(ended_at) as last_read_at
    from reads
    group by user_id
)

select
    users.user_id,
    {{ as_of_day() }} as as_of_date,
    users.read_count,
    users.user_avg_completion_rate,
    users.user_exit_rate,
    users.avg_dwell_time_ms,
    genres.genre as top_genre,
    users.last_read_at
from users
inner join genres on users.user_id = genres.user_id and genres.place = 1
