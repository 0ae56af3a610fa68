-- title: Dead rows and last vacuum
-- description: Tables with more than 10,000 dead rows, and how many percent of their rows these are.
--   Autovacuum cleans at 20 by default; far above it, it is off, too slow, or kept from it by an open transaction.
-- chart: bar percent

select quote_ident(schemaname) || '.' || quote_ident(relname) as "table",
       round(100.0 * n_dead_tup / (n_live_tup + n_dead_tup), 1) as percent,
       n_dead_tup as "dead rows",
       n_live_tup as "live rows",
       greatest(last_vacuum, last_autovacuum)::timestamp(0) as "last vacuum",
       greatest(last_analyze, last_autoanalyze)::timestamp(0) as "last analyze"
from pg_stat_user_tables
where n_dead_tup > 10000
order by 2 desc, 1
