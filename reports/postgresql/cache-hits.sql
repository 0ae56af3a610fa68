-- title: Cache hit ratio
-- description: Percent of the blocks of tables that were found in shared_buffers, since the statistics were reset.
--   Far below 99 the memory for it is likely too small; empty as long as less than 10,000 blocks were read.

select case when sum(heap_blks_hit + heap_blks_read) >= 10000
            then round(100.0 * sum(heap_blks_hit) / sum(heap_blks_hit + heap_blks_read), 2) end as percent,
       coalesce(sum(heap_blks_hit), 0) as "blocks found",
       coalesce(sum(heap_blks_read), 0) as "blocks read",
       current_setting('shared_buffers') as shared_buffers
from pg_statio_user_tables
