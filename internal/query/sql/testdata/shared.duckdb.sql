WITH s1 AS (
SELECT "eventName", "errorCode"
  FROM events
 WHERE "errorCode" = 'AccessDenied'),
s2 AS (
SELECT "eventName" AS "l"
  FROM s1),
s3 AS (
SELECT "eventName" AS "r"
  FROM s1)
SELECT l."l", r."r"
  FROM s2 AS l
  LEFT JOIN s3 AS r ON l."l" = r."r" AND r."r" = 'z'
