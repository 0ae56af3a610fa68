BEGIN TRANSACTION;
CREATE TABLE alerts (name TEXT NOT NULL, target TEXT NOT NULL, topic TEXT NOT NULL,
    since REAL NOT NULL, episode TEXT NOT NULL, failures INTEGER NOT NULL, told REAL, reminders INTEGER NOT NULL,
    kinds TEXT NOT NULL, suppressed INTEGER NOT NULL, event TEXT NOT NULL,
    PRIMARY KEY (name, target, topic)) WITHOUT ROWID;
INSERT INTO "alerts" VALUES('website_access','a','',1795493400.0,'66e2fb6201a5d412/0/1795492800',8,1795493400.0,1,'["failed Unhealthy"]',1,'366bf01faeed5ec393c2adacb0d532cc');
INSERT INTO "alerts" VALUES('website_access','b','',1795493400.0,'66e2fb6201a5d412/0/1795492800',8,NULL,0,'[]',8,'');
INSERT INTO "alerts" VALUES('website_access','c','the backlog is long',1795493400.0,'66e2fb6201a5d412/0/1795492800',8,1795493400.0,1,'["the backlog is long"]',1,'6651c1710c275a17a3819896354210fd');
CREATE TABLE alerts_epoch (id TEXT NOT NULL);
INSERT INTO "alerts_epoch" VALUES('66e2fb6201a5d412');
CREATE TABLE alerts_sent (time REAL NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
    topic TEXT NOT NULL, action TEXT NOT NULL);
INSERT INTO "alerts_sent" VALUES(1795493400.0,'website_access','a','','alert');
INSERT INTO "alerts_sent" VALUES(1795493400.0,'website_access','c','the backlog is long','alert');
INSERT INTO "alerts_sent" VALUES(1795493400.0,'website_access','d','','alert');
INSERT INTO "alerts_sent" VALUES(1795497000.0,'website_access','a','','reminder');
INSERT INTO "alerts_sent" VALUES(1795497000.0,'website_access','c','the backlog is long','reminder');
CREATE TABLE checks (id INTEGER PRIMARY KEY, name TEXT NOT NULL, target TEXT NOT NULL, label TEXT NOT NULL DEFAULT '', heading TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', seen INTEGER NOT NULL DEFAULT 0, kind TEXT, since INTEGER, streak INTEGER NOT NULL DEFAULT 0,
                                   UNIQUE (name, target));
INSERT INTO "checks" VALUES(1,'website_access','a','website[a]','','',1795497600,'failing',1795493400,8);
INSERT INTO "checks" VALUES(2,'website_access','b','website[b]','','',1795497600,'failing',1795493400,8);
INSERT INTO "checks" VALUES(3,'website_access','c','website[c]','','',1795497600,'well',1795492800,9);
INSERT INTO "checks" VALUES(4,'website_access','d','website[d]','','',1795497600,'well',1795497000,2);
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE resolutions (event TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "resolutions" VALUES('c0d477709bda58dd8ddb6df930df240c',1795497000.0);
CREATE TABLE results (check_id INTEGER NOT NULL REFERENCES checks, time INTEGER NOT NULL,
                                    status INTEGER NOT NULL, seconds REAL NOT NULL, message TEXT NOT NULL, maintenance INTEGER NOT NULL DEFAULT 0,
                                    PRIMARY KEY (check_id, time)) WITHOUT ROWID;
INSERT INTO "results" VALUES(1,1795492800,0,0.1,'',0);
INSERT INTO "results" VALUES(1,1795493400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795494000,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795494600,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795495200,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795495800,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795496400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795497000,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(1,1795497600,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795492800,0,0.1,'',0);
INSERT INTO "results" VALUES(2,1795493400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795494000,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795494600,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795495200,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795495800,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795496400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795497000,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(2,1795497600,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(3,1795492800,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795493400,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795494000,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795494600,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795495200,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795495800,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795496400,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795497000,0,0.1,'',0);
INSERT INTO "results" VALUES(3,1795497600,0,0.1,'',0);
INSERT INTO "results" VALUES(4,1795492800,0,0.1,'',0);
INSERT INTO "results" VALUES(4,1795493400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795494000,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795494600,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795495200,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795495800,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795496400,2,0.1,'answers 502 instead of 200',0);
INSERT INTO "results" VALUES(4,1795497000,0,0.1,'',0);
INSERT INTO "results" VALUES(4,1795497600,0,0.1,'',0);
CREATE TABLE runs (time INTEGER PRIMARY KEY, seconds REAL NOT NULL, interrupted INTEGER NOT NULL, name TEXT);
INSERT INTO "runs" VALUES(1795492800,1.0,0,'32338-3253b152f1900379');
INSERT INTO "runs" VALUES(1795493400,1.0,0,'32338-e0e9e6da371dedbd');
INSERT INTO "runs" VALUES(1795494000,1.0,0,'32338-efa7dcb1e26bad45');
INSERT INTO "runs" VALUES(1795494600,1.0,0,'32338-3ec0cc1a739b7359');
INSERT INTO "runs" VALUES(1795495200,1.0,0,'32338-620941b6080da6d3');
INSERT INTO "runs" VALUES(1795495800,1.0,0,'32338-b824442abb9a7bf1');
INSERT INTO "runs" VALUES(1795496400,1.0,0,'32338-54d93e956d7a2a41');
INSERT INTO "runs" VALUES(1795497000,1.0,0,'32338-232b0fdca9e22515');
INSERT INTO "runs" VALUES(1795497600,1.0,0,'32338-688a73535a7e046a');
CREATE UNIQUE INDEX runs_name ON runs (name) WHERE name IS NOT NULL;
CREATE INDEX alerts_sent_by_time ON alerts_sent (time);
COMMIT;
PRAGMA user_version = 2;
