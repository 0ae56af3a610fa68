-- title: Blocked queries
-- description: They wait for a lock that another session holds. None should wait for more than a minute.
-- requires: pg_monitor
-- param: longest = '1 minute'
-- expect: rows == 0

select date_trunc('second', clock_timestamp() - waiting.state_change) as "since",
       waiting.pid,
       waiting.usename as role,
       left(waiting.query, 200) as query,
       blocker.pid as "blocked by",
       blocker.usename as "its role",
       blocker.state as "its state",
       left(blocker.query, 200) as "its last query"
from pg_stat_activity waiting
cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocking (pid)
left join pg_stat_activity blocker on blocker.pid = blocking.pid
where waiting.wait_event_type = 'Lock'
  and waiting.state_change < clock_timestamp() - interval %(longest)s
order by waiting.state_change, waiting.pid
