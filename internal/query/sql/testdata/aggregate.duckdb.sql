WITH s1 AS (
SELECT "eventName", count(*) FILTER (WHERE "eventName" = 'y') AS "c", coalesce((list_sort(list(DISTINCT "eventName") FILTER (WHERE "eventName" IS NOT NULL AND "eventName" = 'y')))[1:100], CAST([] AS VARCHAR[])) AS "v"
  FROM events
 WHERE "_messagetime" >= 1700000000000
   AND "_messagetime" < 1700086400000
   AND "errorCode" = 'AccessDenied'
   AND ("eventName" = 'it''s' OR (NOT coalesce("eventName" = 'x', FALSE)))
   AND "pid" < 10
 GROUP BY 1)
SELECT "eventName", "c", "v"
  FROM s1
 WHERE 1 < "c"
