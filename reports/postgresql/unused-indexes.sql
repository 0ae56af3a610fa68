-- title: Unused indexes
-- description: Never used for a search since the statistics were reset, on this server: each costs time with every
--   write. Those that keep values unique are left out. A standby counts for itself: query it, too, before dropping.
-- chart: bar bytes

select quote_ident(s.schemaname) || '.' || quote_ident(s.indexrelname) as index,
       pg_relation_size(s.indexrelid) as bytes,
       pg_size_pretty(pg_relation_size(s.indexrelid)) as size,
       quote_ident(s.schemaname) || '.' || quote_ident(s.relname) as "table",
       (select stats_reset::timestamp(0) from pg_stat_database where datname = current_database()) as "counted since"
from pg_stat_user_indexes s
join pg_index i using (indexrelid)
where s.idx_scan = 0
  and not i.indisunique
  and not exists (select from pg_constraint c where c.conindid = s.indexrelid)
order by 2 desc, 1
