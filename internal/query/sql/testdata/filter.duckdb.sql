SELECT "eventName", "_messagetime", "pid"
  FROM events
 WHERE "_messagetime" >= 1700000000000
   AND "_messagetime" < 1700086400000
   AND "errorCode" = 'AccessDenied'
   AND ("eventName" = 'it''s' OR (NOT coalesce("eventName" = 'x', FALSE)))
   AND "pid" < 10
