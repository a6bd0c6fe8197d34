with reads as (
    select * from {{ ref('int_reads') }} where {{ is_within('event_date', var('recent_days')) }}
),

episodes as (
    select
        episode_id,
        genre,
        count(*) as read_count,
        {{ completion_rate_of_reads() }} as avg_completion_rate,
        {{ exit_rate_of_reads() }} as exit_rate,
        {{ dwell_time_of_reads() }} as avg_dwell_time_ms
    from reads
    group by episode_id, genre
),

genres as (
    select
        genre,
        {{ median('avg_completion_rate') }} as completion_rate,
        {{ median('exit_rate') }} as exit_rate,
        {{ median('avg_dwell_time_ms') }} as dwell_time_ms
    from episodes
    group by genre
),

scored as (
    select
        episodes.*,
        {{ quality_score('episodes', 'genres') }} as content_quality_score
    from episodes
    inner join genres on episodes.genre = genres.genre
)

select
    episode_id,
    {{ as_of_day() }} as as_of_date,
    genre,
    read_count,
    avg_completion_rate,
    exit_rate,
    avg_dwell_time_ms,
    content_quality_score,
    {{ quality_label('content_quality_score') }} as quality_label
from scored
