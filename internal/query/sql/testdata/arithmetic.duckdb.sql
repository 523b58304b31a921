SELECT CASE WHEN isfinite((((CAST("pid" AS DOUBLE) + 1e+00) * 1e+02) / CASE WHEN isfinite((CAST("pid" AS DOUBLE) - 7e+00)) THEN (CAST("pid" AS DOUBLE) - 7e+00) END)) THEN (((CAST("pid" AS DOUBLE) + 1e+00) * 1e+02) / CASE WHEN isfinite((CAST("pid" AS DOUBLE) - 7e+00)) THEN (CAST("pid" AS DOUBLE) - 7e+00) END) END AS "r"
  FROM events
