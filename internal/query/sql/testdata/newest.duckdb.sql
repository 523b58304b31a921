SELECT "_messagetime", "_raw"
  FROM events
 WHERE "eventName" = 'PutObject'
 ORDER BY "_messagetime" DESC NULLS LAST
 LIMIT 100
