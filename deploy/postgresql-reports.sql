-- What the reports in reports/postgresql need besides, for the role of postgresql.sql. Run by a superuser in each
-- database that has reports, and again when another role has made sequences:
--     psql -d DATABASE -f deploy/postgresql-reports.sql

GRANT pg_monitor TO monitor;  -- shows all running queries, but no data

-- Where sequences stand: of those that there are, and of those that their owners will make.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT schemaname, sequencename FROM pg_sequences LOOP
        EXECUTE format('GRANT SELECT ON SEQUENCE %I.%I TO monitor', found.schemaname, found.sequencename);
    END LOOP;
    FOR found IN SELECT DISTINCT sequenceowner FROM pg_sequences LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON SEQUENCES TO monitor', found.sequenceowner);
    END LOOP;
END
$$;
