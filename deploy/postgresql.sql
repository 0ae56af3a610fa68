-- The role of [database.NAME]: it may log in, and nothing else. Run by a superuser:
--     psql -f deploy/postgresql.sql
-- then give it a password of its own, which psql asks for and does not log:
--     psql -c '\password monitor'

CREATE ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5;
ALTER ROLE monitor SET default_transaction_read_only = on;
ALTER ROLE monitor SET statement_timeout = '30s';

-- For max_transaction_age and max_replication_lag: shows all running queries, but no data.
-- GRANT pg_monitor TO monitor;

-- For the reports that ship: deploy/postgresql-reports.sql.
