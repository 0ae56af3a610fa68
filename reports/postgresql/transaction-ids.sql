-- title: Transaction-id age
-- description: Percent of the transaction ids used up since the oldest unfrozen row of each database. Autovacuum
--   freezes at about 10; at 100 the server takes no more writes.
-- expect: value < 50
-- chart: bar percent

select datname as database,
       round(100.0 * greatest(age(datfrozenxid), mxid_age(datminmxid)) / 2147483647, 1) as percent,
       age(datfrozenxid) as "transactions",
       mxid_age(datminmxid) as "multixacts",
       current_setting('autovacuum_freeze_max_age')::bigint as "freeze at"
from pg_database
where datallowconn
order by 2 desc, 1
