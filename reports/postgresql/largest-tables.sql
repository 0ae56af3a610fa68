-- title: Largest tables
-- description: With their indexes and TOAST. Rows are the estimate of the last ANALYZE.
-- limit: 30
-- chart: bar bytes
-- timeout: 1m

select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as "table",
       pg_total_relation_size(c.oid) as bytes,
       pg_size_pretty(pg_total_relation_size(c.oid)) as size,
       pg_size_pretty(pg_table_size(c.oid)) as "without indexes",
       case when c.reltuples >= 0 then c.reltuples::bigint end as "rows, about"
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm')
  and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname !~ '^pg_(toast|temp)'
order by 2 desc
limit 30
