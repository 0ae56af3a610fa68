-- title: Sequences near their end
-- description: More than half used up. At the end every insert fails: make the column bigint in time.
--   Those whose values the role may not see are listed with their missing right.
-- expect: rows == 0
-- chart: bar percent

select quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename) as sequence,
       round(100.0 * s.last_value / s.max_value, 1) as percent,
       s.last_value,
       s.max_value,
       s.data_type::text as type,
       case when not readable
            then format('grant select on sequence %I.%I to %I', s.schemaname, s.sequencename, current_user)
            end as "missing right"
from pg_sequences s
join pg_namespace n on n.nspname = s.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = s.sequencename
cross join lateral (select has_sequence_privilege(c.oid, 'SELECT, USAGE') as readable) rights
where not s.cycle
  and s.increment_by > 0
  and (s.last_value > s.max_value / 2 or not readable)
order by 2 desc nulls last, 1
