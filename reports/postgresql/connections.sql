-- title: Connections by state
-- description: Of all databases of the server. "idle in transaction" holds locks, and keeps VACUUM from cleaning.
-- requires: pg_monitor
-- chart: bar connections

select coalesce(state, 'unknown') as state,
       count(*) as connections,
       count(distinct usename) as roles,
       date_trunc('second', max(clock_timestamp() - state_change)) as "longest so",
       current_setting('max_connections')::int as "most allowed"
from pg_stat_activity
where backend_type = 'client backend' and application_name !~ '^healthchecks' -- these reports
group by 1
order by 2 desc, 1
