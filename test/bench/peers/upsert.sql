-- Of both peers that write a request with one statement.
INSERT INTO cxone_sync.contact_records AS t (id, external_id, first_name, last_name, email, updated_ts)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
ON CONFLICT (id) DO UPDATE SET
    external_id = coalesce(excluded.external_id, t.external_id),
    first_name = coalesce(excluded.first_name, t.first_name),
    last_name = coalesce(excluded.last_name, t.last_name),
    email = coalesce(excluded.email, t.email),
    updated_ts = excluded.updated_ts
WHERE t.updated_ts IS NULL OR excluded.updated_ts > t.updated_ts OR (excluded.updated_ts = t.updated_ts
    AND (t.external_id, t.first_name, t.last_name, t.email) IS DISTINCT FROM
        (coalesce(excluded.external_id, t.external_id), coalesce(excluded.first_name, t.first_name),
         coalesce(excluded.last_name, t.last_name), coalesce(excluded.email, t.email)))
