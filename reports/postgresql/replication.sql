-- title: Replication lag
-- description: How far behind each standby and each replication slot is, in bytes of WAL. A slot that nobody reads
--   keeps all WAL since, until the disk is full.
-- requires: pg_monitor
-- expect: value < 1000000000
-- chart: bar bytes behind

with here as (
    select case when pg_is_in_recovery() then coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                else pg_current_wal_lsn() end as lsn
),
followers as (
    select coalesce(nullif(application_name, ''), client_addr::text, pid::text) as name,
           'standby' as kind,
           coalesce(pg_wal_lsn_diff(lsn, replay_lsn), 0)::bigint as "bytes behind",
           date_trunc('milliseconds', replay_lag) as "time behind",
           state
    from pg_stat_replication, here
    union all
    select slot_name::text, slot_type || ' slot', coalesce(pg_wal_lsn_diff(lsn, restart_lsn), 0)::bigint, null,
           case when active then 'active' else 'inactive' end
    from pg_replication_slots, here
)
select * from followers
union all
select 'no standby and no slot', '', 0, null, null where not exists (select from followers)
order by 3 desc, 1
