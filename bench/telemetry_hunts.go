package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	db "github.com/duckdb/duckdb-go-bindings"

	"gatehouse/internal/lake"
	"gatehouse/internal/lake/duck"
	"gatehouse/internal/query"
	"gatehouse/internal/query/op"
)

// asked is a hunt, and the same question in SQL as someone writes it who knows
// the columns. Lists may come in any order, and so may rows.
type asked struct {
	name string
	text string // of the hunt; "": the seed's of that name
	sql  string
	goal float64 // the most that ours may cost, in the peer's
}

// tagged are the first lines of the hunts that look into tags.
const tagged = `WITH p AS (SELECT "requestId" AS r,
  nullif(regexp_extract("input.inputBodyJson.prompt", '<input>(.*)</input>', 1), '') AS u,
  nullif(regexp_extract("output.outputBodyJson.completion", '<thinking>(\s.*\s)</thinking>', 1), '') AS o
  FROM events WHERE "_collector" = 'AWS Bedrock Model Invocation Logs') `

const (
	listU = `list(DISTINCT u) FILTER (WHERE u IS NOT NULL)`
	listO = `list(DISTINCT o) FILTER (WHERE o IS NOT NULL)`
)

// onCommands begins the hunts over command lines.
const onCommands = `WITH c AS (SELECT *, replace("commandLine", ',', ' ') AS line FROM events
  WHERE "_index" = 'sec_record_endpoint' AND contains("commandLine", 'aws,bedrock')),
 d AS (SELECT *, regexp_extract(line, '[^/]*$') AS clean FROM c),
 e AS (SELECT *, CASE WHEN contains(clean, 'aws bedrock delete') THEN 'delete' WHEN contains(clean, 'aws bedrock get') THEN 'get'
  WHEN contains(clean, 'aws bedrock list') THEN 'list' ELSE '' END AS verb FROM d) `

const invocations = `_collector="AWS Bedrock Model Invocation Logs" `

const countInvocations = `SELECT count(*) FROM events WHERE "_collector" = 'AWS Bedrock Model Invocation Logs' AND `

var questions = []asked{
	{"H1", "", tagged + `SELECT r, ` + listU + `, ` + listO + ` FROM p GROUP BY r`, 1.2},
	{"H2", "", tagged + `SELECT r, ` + listU + `, ` + listO + ` FROM p WHERE regexp_matches(u, '(training data|model|prompts)') GROUP BY r`, 1.2},
	{"H3", "", `SELECT "userIdentity.arn", list(DISTINCT _raw->>'$.requestParameters.trainingDataConfig.s3Uri'), list(DISTINCT _raw->>'$.requestParameters.customModelName')
  FROM events WHERE "_sourceCategory" = 'cloudtrail' AND "eventName" = 'CreateModelCustomizationJob' GROUP BY 1`, 1.2},
	{"H4", "", `WITH j AS (SELECT "userIdentity.principalId" AS p, "eventName" AS n, "_messagetime" AS t,
  coalesce(nullif(regexp_extract(_raw->>'$.requestParameters.trainingDataConfig.s3Uri', 's3://(.*)/', 1), ''), _raw->>'$.requestParameters.bucketName') AS b
  FROM events WHERE "_sourceCategory" IN ('cloudtrail', 'cloudtraildataevents') AND "eventName" IN ('CreateModelCustomizationJob', 'PutObject'))
SELECT p, b, count(*) FILTER (WHERE n = 'PutObject') AS puts, count(*) FILTER (WHERE n <> 'PutObject') AS jobs, min(t), max(t)
  FROM j WHERE p IS NOT NULL AND b IS NOT NULL GROUP BY p, b HAVING puts >= 1 AND jobs >= 1`, 1.2},
	{"H5", "", tagged + `SELECT r, ` + listU + `, list(DISTINCT coalesce(length(u), 0)), ` + listO + ` FROM p GROUP BY r`, 1.2},
	{"H6", "", tagged + `SELECT r, ` + listU + `, list(DISTINCT length(u)), ` + listO + ` FROM p WHERE length(u) > 1000 GROUP BY r`, 1.2},
	{"H7", "", `SELECT "accountId", "_messagetime" // 14400000 * 14400000, sum("input.inputTokenCount")
  FROM events WHERE "_collector" = 'AWS Bedrock Model Invocation Logs' GROUP BY 1, 2`, 1.2},
	{"H8", "", onCommands + `SELECT "device_hostname", "user_username", list(DISTINCT clean) FROM d GROUP BY 1, 2`, 1.2},
	{"H9", "", onCommands + `SELECT "_messagetime", "_sourceCategory", line, clean, verb, _raw FROM e ORDER BY "_messagetime" DESC`, 1.2},
	{"H10", "", onCommands + `SELECT "user_username", "device_hostname", verb, count(verb) FROM e GROUP BY ALL`, 1.2},
	{"H11", "", onCommands + `SELECT "device_hostname", "user_username", list(DISTINCT clean) FROM e WHERE verb = 'delete' GROUP BY 1, 2`, 1.2},

	{"keyword", invocations + `jailbreak | count`, countInvocations + `_raw ILIKE '%jailbreak%'`, 1},
	{"two keywords", invocations + `akia2bench34keys56xy key | count`, countInvocations + `_raw ILIKE '%akia2bench34keys56xy%' AND _raw ILIKE '%key%'`, 1},
	{"phrase", invocations + `"ignore previous instructions" | count`, countInvocations + `_raw ILIKE '%ignore previous instructions%'`, 1},
	{"regex, words", invocations + `| where prompt_text matches /(system prompt|training data|jailbreak)/ | count`,
		countInvocations + `regexp_matches(prompt_text, '(system prompt|training data|jailbreak)')`, 1},
	{"regex, any case", invocations + `| where prompt_text matches /(?i)ignore (all |any )?previous instructions/ | count`,
		countInvocations + `regexp_matches(prompt_text, '(?i)ignore (all |any )?previous instructions')`, 1},
	{"regex, a key", invocations + `| where prompt_text matches /AKIA[0-9A-Z]{16}/ | count`,
		countInvocations + `regexp_matches(prompt_text, 'AKIA[0-9A-Z]{16}')`, 1},
}

// Hunt is one question's cost on one core: the best of the rounds of each, which
// took turns.
type Hunt struct {
	Name   string  `json:"name"`
	Rows   int     `json:"rows"`
	CPU    float64 `json:"cpu_s"`
	Peer   float64 `json:"peer_cpu_s"`
	Wall   float64 `json:"wall_s"`
	Goal   float64 `json:"goal"`
	Click  float64 `json:"clickhouse_cpu_s,omitempty"` // 0: it was not asked
	Errors int     `json:"errors"`                     // always 0: an error ends the run
}

// Ratio is what ours costs, in the peer's.
func (h Hunt) Ratio() float64 { return h.CPU / max(h.Peer, 1e-6) }

// Hunts is the answer of the process that asks.
type Hunts struct {
	DuckDB string `json:"duckdb"`
	Click  string `json:"clickhouse"` // version; "": there is none
	Hunts  []Hunt `json:"hunts"`
}

// measureHunts puts everything into a lake, and asks in one process.
func (b *bench) measureHunts(ctx context.Context, all, dir string) error {
	var i Ingest
	folder := filepath.Join(dir, "lake")
	if err := b.child(ctx, &i, "ingest", "1", all, folder); err != nil {
		return fmt.Errorf("fill a lake: %w", err)
	}
	var answer Hunts
	args := []string{"hunts", folder, filepath.Join("internal", "query", "testdata", "seed"), strconv.Itoa(2*b.scale.rounds - 1)}
	if err := b.child(ctx, &answer, args...); err != nil {
		return err
	}
	t := &b.result.Telemetry
	if t.DuckDB, t.Click, t.Hunts = answer.DuckDB, answer.Click, answer.Hunts; t.Click == "" {
		t.Skipped = "ClickHouse: no Python has chdb (set GATEHOUSE_CHDB)"
	}
	for _, h := range t.Hunts {
		fmt.Fprintf(os.Stderr, "%-16s %7d rows  %8.3f s, by hand %8.3f s, ratio %.2f (goal %.1f)\n", h.Name, h.Rows, h.CPU, h.Peer, h.Ratio(), h.Goal)
	}
	return nil
}

// huntsChild is that process: folder of the lake, folder of the seed's hunts,
// rounds, and the names to ask, or none for all.
func huntsChild(ctx context.Context, args []string) (any, error) {
	s, err := lake.Load(args[0])
	if err != nil {
		return nil, err
	}
	rounds, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, err
	}
	h := hunter{files: names(s.Files(nil, time.Time{}, time.Time{})), catalogue: query.Catalogue(s.Catalogue)}
	if h.engine, err = duck.Open(duck.Options{Threads: 1, Temp: os.TempDir()}); err != nil {
		return nil, err
	}
	defer h.engine.Close()
	out := Hunts{DuckDB: db.LibraryVersion()}
	if python := chdbPython(); python != "" {
		if h.click, err = startClick(ctx, python, h.files); err != nil {
			return nil, err
		}
		defer h.click.stop()
		out.Click = h.click.version
	}
	for _, q := range questions {
		if len(args) > 3 && !slices.Contains(args[3:], q.name) {
			continue
		}
		if q.text == "" {
			text, err := os.ReadFile(filepath.Join(args[1], q.name+".txt"))
			if err != nil {
				return nil, err
			}
			q.text = string(text)
		}
		one, err := h.compare(ctx, q, rounds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.name, err)
		}
		out.Hunts = append(out.Hunts, one)
	}
	return out, nil
}

func names(files []lake.File) (all []string) {
	for _, f := range files {
		all = append(all, f.Path)
	}
	return all
}

// hunter asks over the files of one lake.
type hunter struct {
	engine    lake.Engine
	files     []string
	catalogue op.Catalogue
	click     *click // or nil
}

func (h hunter) compare(ctx context.Context, q asked, rounds int) (Hunt, error) {
	out := Hunt{Name: q.name, Goal: q.goal}
	for round := range rounds {
		ours, err := measured(func() (answer, error) { return h.hunt(ctx, q.text) })
		if err != nil {
			return out, err
		}
		theirs, err := measured(func() (answer, error) { return h.sql(ctx, q.sql) })
		if err != nil {
			return out, err
		}
		if ours.answer != theirs.answer {
			return out, fmt.Errorf("the hunt has %d rows and SQL by hand %d, or they differ", ours.rows, theirs.rows)
		}
		if round == 0 || ours.cpu < out.CPU {
			out.CPU, out.Wall = ours.cpu, ours.wall
		}
		if round == 0 || theirs.cpu < out.Peer {
			out.Peer = theirs.cpu
		}
		out.Rows = ours.rows
		if h.click == nil {
			continue
		}
		a, cpu, err := h.click.run(ctx, h, q.text)
		if err != nil {
			return out, err
		}
		if a != ours.answer {
			return out, fmt.Errorf("ClickHouse has %d rows and DuckDB %d, or they differ", a.rows, ours.rows)
		}
		if cpu = max(cpu, tick.Seconds()); round == 0 || cpu < out.Click {
			out.Click = cpu
		}
	}
	return out, nil
}

// one asks for one text.
func one(ctx context.Context, e lake.Engine, statement string) (string, error) {
	rows, err := query.SQL(ctx, e, statement, query.Job{})
	if err != nil {
		return "", err
	}
	all, err := rows.All()
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", fmt.Errorf("%s gives %d rows", statement, len(all))
	}
	return query.Text(all[0][0]), nil
}

// answer stands for rows in any order.
type answer struct {
	rows int
	sum  uint64
}

type cost struct {
	answer
	cpu, wall float64
}

func measured(f func() (answer, error)) (cost, error) {
	before, began := usage(), time.Now()
	a, err := f()
	return cost{a, (spent(usage()) - spent(before)).Seconds(), time.Since(began).Seconds()}, err
}

func (h hunter) job() query.Job {
	return query.Job{Files: h.files, Budget: lake.Budget{Memory: 4 << 30, Time: 10 * time.Minute, Rows: 1 << 30, Threads: 1}}
}

func (h hunter) hunt(ctx context.Context, text string) (answer, error) {
	res, err := query.Compile(text, &op.Env{Now: time.Now(), Zone: time.UTC, Catalogue: h.catalogue})
	if err != nil {
		return answer{}, err
	}
	job := h.job()
	job.Plan = res.Plan
	rows, err := query.Run(ctx, h.engine, job)
	if err != nil {
		return answer{}, err
	}
	return read(rows, res.Columns)
}

func (h hunter) sql(ctx context.Context, statement string) (answer, error) {
	rows, err := query.SQL(ctx, h.engine, statement, h.job())
	if err != nil {
		return answer{}, err
	}
	return read(rows, nil)
}

// read reads all rows, to the last.
func read(rows *query.Rows, columns []string) (answer, error) {
	defer rows.Close()
	var a answer
	_, at := rows.Shown(columns)
	for row := rows.Next(); row != nil; row = rows.Next() {
		sum := fnv.New64a()
		for _, i := range at {
			if list, ok := row[i].([]string); ok {
				slices.Sort(list)
			}
			sum.Write([]byte(query.Text(row[i])))
			sum.Write([]byte{0})
		}
		a.rows++
		a.sum += sum.Sum64()
	}
	return a, rows.Err()
}
