WITH s1 AS (
SELECT "_raw", TRY(json_extract_string("_raw", ['$."b"."odd\"key"', '$."c"'])) AS json_1_1_
  FROM events
 WHERE TRY(json_extract_string("_raw", '$."a"')) = 'x')
SELECT json_1_1_[1] AS "b", json_1_1_[2] AS "c", CASE WHEN contains(json_1_1_[1], 'ß') THEN array_to_string(list_transform(string_split(json_1_1_[1], 'ß'), lambda v: upper(v)), 'ß') ELSE upper(json_1_1_[1]) END AS "b2"
  FROM s1
