WITH s1 AS (
SELECT "eventName", CASE WHEN contains("_raw", '<input>') AND contains("_raw", '</input>') THEN regexp_extract_all("_raw", '<input>(.*)</input>', 1)[1] END AS "user", CASE WHEN contains("_raw", 'key') AND regexp_matches("_raw", 'key(=\w+)?') THEN regexp_extract("_raw", 'key(=\w+)?', 1) END AS "some"
  FROM events)
SELECT "eventName", "user", "some"
  FROM s1
 WHERE regexp_matches("user", 'model|prompts')
