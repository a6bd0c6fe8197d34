with reads as (
    select * from {{ ref('int_reads') }}
),

read_episodes as (
    select
        episode_id,
        count(*) as read_count,
        count(*) filter (where event_date = {{ as_of_day() }}) as read_count_1d,
        count(distinct user_id) as reader_count,
        {{ completion_rate_of_reads() }} as episode_avg_completion_rate,
        {{ exit_rate_of_reads() }} as episode_exit_rate,
        {{ mean('avg_scroll_ratio') }} as episode_avg_scroll_ratio
    from reads
    group by episode_id
),

-- Episodes that dim.episodes does not have, and episodes that nobody has read.
episodes as (
    select
        episode_id,
        {{ known_genre('genre') }} as genre,
        coalesce(tags, '{}') as tags,
        avg_rating as episode_avg_rating,
        coalesce(read_count, 0) as read_count,
        coalesce(read_count_1d, 0) as read_count_1d,
        coalesce(reader_count, 0) as reader_count,
        episode_avg_completion_rate,
        episode_exit_rate,
        episode_avg_scroll_ratio
    from {{ source('dim', 'episodes') }}
    full join read_episodes using (episode_id)
)

select
    episode_id,
    {{ as_of_day() }} as as_of_date,
    genre,
    tags,
    episode_avg_rating,
    read_count,
    read_count_1d,
    reader_count,
    episode_avg_completion_rate,
    episode_exit_rate,
    episode_avg_scroll_ratio,
    row_number() over (order by read_count_1d desc, episode_id collate "C") as current_popularity_rank
from episodes
