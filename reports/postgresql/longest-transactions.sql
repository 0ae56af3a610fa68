-- title: Longest transactions
-- description: None should be open for more than an hour: as long as it is, VACUUM cannot remove
--   what has changed since in any table.
-- requires: pg_monitor
-- param: longest = '1 hour'
-- expect: rows == 0

select date_trunc('second', clock_timestamp() - xact_start) as "open for",
       usename as role,
       datname as database,
       state,
       client_addr as client,
       pid,
       left(query, 300) as "last query"
from pg_stat_activity
where backend_type = 'client backend'
  and pid <> pg_backend_pid()
  and xact_start < clock_timestamp() - interval %(longest)s
order by xact_start
