SELECT "_raw", "eventName"
  FROM events
 WHERE (contains("_raw", 'model') OR contains("_raw", 'prompt') OR contains("_raw", 'training data'))
   AND contains("_raw", 'aws,bedrock')
   AND regexp_matches("_raw", '(?i)delete')
   AND (contains("_raw", 'lit') AND contains("_raw", 'eral') AND regexp_matches("_raw", 'lit.*eral'))
   AND regexp_matches(lower("_raw"), 'a|b')
