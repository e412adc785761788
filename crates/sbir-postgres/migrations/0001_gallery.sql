-- A gallery: its space, the roots, the photos, and counts that are kept up as they change.

-- At most one row: none until the first `ensure`.
CREATE TABLE space (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    fingerprint text NOT NULL,
    dimension integer NOT NULL CHECK (dimension > 0)
);

-- Paths are bytes: a file's name need not be UTF-8. They may be longer than a key of an index can be.
CREATE TABLE root (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path bytea NOT NULL
);
CREATE UNIQUE INDEX root_path ON root (sha256(path));

-- The id is the UUIDv5 of root and path, so that a photo has one place whoever writes it. `embedding` gets its dimension
-- at the first `ensure`; vectors stay inside their rows, as a search without an index reads all of them.
CREATE TABLE photo (
    id uuid PRIMARY KEY,
    root integer NOT NULL REFERENCES root,
    path bytea NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    width bigint NOT NULL,
    height bigint NOT NULL,
    embedding halfvec NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX photo_place ON photo (root, substring(path FROM 1 FOR 512));
CREATE INDEX photo_hash ON photo (hash);

-- Photos and changes by root, in slots, so that writers seldom wait for one another: a sum is exact at any moment.
CREATE TABLE tally (
    root integer NOT NULL,
    slot smallint NOT NULL,
    photos bigint NOT NULL,
    changes bigint NOT NULL,
    PRIMARY KEY (root, slot)
) WITH (fillfactor = 50);

CREATE FUNCTION count_photos() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    sign constant bigint := CASE TG_OP WHEN 'INSERT' THEN 1 WHEN 'DELETE' THEN -1 ELSE 0 END;
BEGIN
    INSERT INTO tally AS held (root, slot, photos, changes)
        SELECT root, pg_backend_pid() % 16, sign * count(*), 1 FROM changed GROUP BY root ORDER BY root
        ON CONFLICT (root, slot) DO UPDATE
            SET photos = held.photos + excluded.photos, changes = held.changes + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER counted_insert AFTER INSERT ON photo REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_photos();
CREATE TRIGGER counted_update AFTER UPDATE ON photo REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_photos();
CREATE TRIGGER counted_delete AFTER DELETE ON photo REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_photos();

CREATE FUNCTION no_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'photos are counted as they go: DELETE FROM photo instead';
END
$$;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON photo EXECUTE FUNCTION no_truncate();
