SELECT customer, source, id, type, occurred_at, received_at, recorded_at, catalogue_version,
       corrections, data, properties, extensions, dt
FROM (
  SELECT *, row_number() OVER (
    PARTITION BY dt, customer, source, id ORDER BY corrections DESC
  ) AS copy
  FROM archived_events
)
WHERE copy = 1 AND corrections % 2 = 0
