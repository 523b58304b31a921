WITH s1 AS (
SELECT lower("eventName") AS "n", "pid"
  FROM events
 WHERE "_messagetime" >= 1700000000000
   AND "_messagetime" < 1700086400000
   AND "errorCode" = 'AccessDenied'
   AND ("eventName" = 'it''s' OR (NOT coalesce("eventName" = 'x', FALSE)))
   AND "pid" < 10)
SELECT "pid"
  FROM s1
