-- title: Size of the database
-- description: In bytes, of all that it holds: tables, indexes, TOAST.
-- timeout: 1m

select pg_database_size(current_database()) as bytes,
       pg_size_pretty(pg_database_size(current_database())) as size,
       current_database() as database
