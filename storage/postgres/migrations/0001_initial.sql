-- Every kind of record has a table of its own. "key" is a hash over the identifying
-- parts of the record, and so are the columns that name whom it belongs to; "data"
-- is the whole record. The other columns repeat what statements select by.

CREATE TABLE clients (
	key        bytea PRIMARY KEY,
	created_at timestamptz NOT NULL,
	expires_at timestamptz,          -- null: the client completed a sign-in and stays
	data       bytea NOT NULL
);
CREATE INDEX clients_by_end ON clients (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX clients_by_age ON clients (created_at) WHERE expires_at IS NOT NULL;

CREATE TABLE pendings (
	key        bytea PRIMARY KEY,
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX pendings_by_end ON pendings (expires_at);

CREATE TABLE accounts (
	key  bytea PRIMARY KEY,
	data bytea NOT NULL
);

CREATE TABLE grants (
	key        bytea PRIMARY KEY,
	client     bytea NOT NULL,
	subject    bytea NOT NULL,
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE INDEX grants_by_client ON grants (client);
CREATE INDEX grants_by_subject ON grants (subject);

CREATE TABLE sessions (
	key        bytea PRIMARY KEY,
	subject    bytea NOT NULL,
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_by_subject ON sessions (subject);

CREATE TABLE consents (
	key        bytea PRIMARY KEY,
	subject    bytea NOT NULL,       -- with the issuer
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX consents_by_end ON consents (expires_at);
CREATE INDEX consents_by_subject ON consents (subject);

CREATE TABLE used_ids (
	key        bytea PRIMARY KEY,
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX used_ids_by_end ON used_ids (expires_at);

CREATE TABLE signing_keys (
	key        bytea PRIMARY KEY,
	issuer     bytea NOT NULL,
	expires_at timestamptz NOT NULL,
	data       bytea NOT NULL
);
CREATE INDEX signing_keys_by_end ON signing_keys (expires_at);
CREATE INDEX signing_keys_by_issuer ON signing_keys (issuer);

-- What gateways tell each other.
CREATE TABLE feed (
	position bigint PRIMARY KEY,
	kind     text NOT NULL,
	id       bytea NOT NULL,
	at       timestamptz NOT NULL
);

-- Numbers that have one row each, so that whoever changes one waits for nobody
-- who changes another.
CREATE TABLE counters (
	name  text PRIMARY KEY,
	value bigint NOT NULL
);
INSERT INTO counters (name, value) VALUES
	('feed head', 0),        -- position of the latest change
	('feed trimmed', 0),     -- position of the latest change that was dropped
	('unused clients', 0);   -- how many clients have an expires_at
