SELECT "_messagetime", "_raw"
  FROM events
 WHERE "eventName" = 'PutObject'
   AND "_messagetime" >= (SELECT min("_messagetime") FROM (SELECT "_messagetime" FROM events WHERE "eventName" = 'PutObject' ORDER BY "_messagetime" DESC LIMIT 100001))
 ORDER BY "_messagetime" DESC NULLS LAST, "eventName" NULLS LAST
 LIMIT 100001
