package parse

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"gatehouse/internal/event"
)

func line(i int) string {
	return fmt.Sprintf(`{"eventTime":"2026-03-01T12:00:00Z","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","eventID":"e%d"}`, i)
}

func zip(parts ...string) string {
	var b bytes.Buffer
	for _, p := range parts {
		z := gzip.NewWriter(&b)
		io.WriteString(z, p)
		z.Close()
	}
	return b.String()
}

func zst(s string) string {
	z, _ := zstd.NewWriter(nil)
	return string(z.EncodeAll([]byte(s), nil))
}

func wide(s, bom string, low, high int) string {
	b := []byte(bom)
	for _, c := range []byte(s) {
		pair := [2]byte{}
		pair[low], pair[high] = c, 0
		b = append(b, pair[:]...)
	}
	return string(b)
}

// TestWrappings: bytes are what they are in any wrapping, and one that is
// damaged gives all that was before, and one problem.
func TestWrappings(t *testing.T) {
	two := line(1) + "\n" + line(2) + "\n"
	var many strings.Builder
	for i := range 2000 {
		many.WriteString(line(i) + "\n")
	}
	packed := zip(many.String())
	damaged := []byte(zip(two))
	damaged[len(damaged)-6] ^= 1 // the checksum
	for _, tt := range []struct {
		name, in string
		records  string // how many, at least when it ends in +
		problem  string
	}{
		{"gzip", zip(two), "2", ""},
		{"gzip, two members", zip(line(1)+"\n", line(2)), "2", ""},
		{"gzip, a record over two members", zip(line(1)[:30], line(1)[30:]), "1", ""},
		{"gzip in gzip", zip(zip(two)), "2", ""},
		{"zstd", zst(two), "2", ""},
		{"zstd, two frames", zst(line(1)) + zst(line(2)), "2", ""},
		{"byte order mark", "\xef\xbb\xbf" + two, "2", ""},
		{"UTF-16 with mark", wide(two, "\xff\xfe", 0, 1), "2", ""},
		{"UTF-16 without", wide(two, "", 0, 1), "2", ""},
		{"UTF-16, big end first", wide(two, "\xfe\xff", 1, 0), "2", ""},
		{"gzip of nothing", zip(""), "0", ""},
		{"nothing", "", "0", ""},
		{"gzip that ends early", packed[:len(packed)-200], "100+", Truncated},
		{"gzip header that ends early", zip(two)[:5], "0", Truncated},
		{"gzip with a wrong checksum", string(damaged), "2", BadGzip},
		{"gzip with garbage behind it", zip(two) + "garbage behind", "2", BadGzip},
		{"zstd that ends early", zst(many.String())[:300], "0+", Truncated},
		{"not gzip at all", "\x1f\x8bnot so at all", "0", BadGzip},
	} {
		records, problems := 0, []string(nil)
		_, err := Scan(strings.NewReader(tt.in), Options{}, func(*event.Raw) error { records++; return nil },
			func(p event.Problem) { problems = append(problems, p.Code) })
		enough := fmt.Sprint(records) == tt.records
		if least, ok := strings.CutSuffix(tt.records, "+"); ok {
			var n int
			fmt.Sscan(least, &n)
			enough = records >= n
		}
		if err != nil || !enough || strings.Join(problems, " ") != tt.problem {
			t.Errorf("%s: %d records, problems %q, error %v; want %s, %q", tt.name, records, problems, err, tt.records, tt.problem)
		}
	}
}

// TestPieces: a stream that comes byte by byte is read as one that comes at
// once.
func TestPieces(t *testing.T) {
	files, _ := filepath.Glob("testdata/aws/*.json*")
	for _, file := range files {
		in, _ := os.ReadFile(file)
		if whole, pieces := told(t, in, Options{}), tell(t, iotest.OneByteReader(bytes.NewReader(in)), Options{}); whole != pieces {
			t.Errorf("%s:\nbyte by byte %s\nat once %s", file, pieces, whole)
		}
	}
}

// stream repeats text n times between a beginning and an end.
func stream(begin, text string, n int, end string) io.Reader {
	return io.MultiReader(strings.NewReader(begin), &repeat{text: text, n: n}, strings.NewReader(end))
}

type repeat struct {
	text string
	n, i int
}

func (r *repeat) Read(b []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.text[r.i:])
	if r.i += n; r.i == len(r.text) {
		r.n, r.i = r.n-1, 0
	}
	return n, nil
}

// TestBounded: memory is that of one record, whatever the size of a file, a
// list or a line; what is too long is one problem, and reading goes on.
func TestBounded(t *testing.T) {
	mb := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name    string
		in      io.Reader
		records int
		problem string
	}{
		{"a list of 24 MB on one line", stream(`{"Records":[`, line(1)+",", 200_000, line(2)+"]}"), 200_001, ""},
		{"an array of 24 MB", stream(`[`, line(1)+",", 200_000, line(2)+"]"), 200_001, ""},
		{"a line of 100 MB", stream(`{"a":"`, mb, 100, `"}`+"\n"+line(1)), 1, TooLong},
		{"text of 20 MB", stream("", mb, 20, "\n"+line(1)), 1, NotJSON},
		{"brackets", stream("", strings.Repeat("[", 1<<20), 5, ""), 0, TooLong},
		{"an element of 20 MB", stream(`{"Records":[{"a":"`, mb, 20, `"},`+line(1)+`]}`), 1, TooLong},
		{"white space", stream("", strings.Repeat(" ", 1<<20), 20, line(1)), 1, ""},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		records, problems := 0, []string(nil)
		_, err := Scan(tt.in, Options{MaxRecord: 1 << 20}, func(*event.Raw) error { records++; return nil },
			func(p event.Problem) { problems = append(problems, p.Code) })
		runtime.ReadMemStats(&after)
		if err != nil || records != tt.records || strings.Join(problems, " ") != tt.problem {
			t.Errorf("%s: %d records, problems %q, error %v; want %d, %q", tt.name, records, problems, err, tt.records, tt.problem)
		}
		if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 12 {
			t.Errorf("%s: %d MiB were allocated", tt.name, mib)
		}
	}
}

// TestErrors: an error of the source or of the taker ends the scan.
func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	_, err := Scan(strings.NewReader(line(1)+line(2)), Options{}, func(*event.Raw) error { n++; return broken }, func(event.Problem) {})
	if err != broken || n != 1 {
		t.Errorf("a taker that fails: %v after %d records, want its error after 1", err, n)
	}
	for name, in := range map[string]string{"plain": line(1) + line(2)[:20], "gzip": zip(line(1))[:20], "empty": ""} {
		problems := 0
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken))
		if _, err := Scan(r, Options{}, func(*event.Raw) error { return nil }, func(event.Problem) { problems++ }); err != broken || problems > 0 {
			t.Errorf("%s source that fails: %v, %d problems, want its error alone", name, err, problems)
		}
	}
}

// TestStrand: what the sender says is held against what a record is.
func TestStrand(t *testing.T) {
	in := line(1) + strings.Replace(line(2), "{", `{"eventCategory":"Data",`, 1) +
		`{"schemaType":"ModelInvocationLog","timestamp":"2026-03-01T12:00:00Z"}`
	for want, tt := range map[event.Strand]string{
		"": "management data invocation", event.Management: "management data !wrong_strand", event.Data: "management data !wrong_strand",
		event.Invocation: "!wrong_strand !wrong_strand invocation",
	} {
		var got []string
		Scan(strings.NewReader(in), Options{Strand: want}, func(r *event.Raw) error { got = append(got, string(r.Strand)); return nil },
			func(p event.Problem) { got = append(got, "!"+p.Code) })
		if strings.Join(got, " ") != tt {
			t.Errorf("sent as %q: %v, want %s", want, got, tt)
		}
	}
}

// TestSubscription: CloudWatch's gzip in base64, in each of its carriers.
func TestSubscription(t *testing.T) {
	message := fmt.Sprintf(`{"messageType":"DATA_MESSAGE","logEvents":[{"id":"1","timestamp":1,"message":%q},{"id":"2","timestamp":1,"message":%q}]}`, line(1), line(2))
	data := base64.StdEncoding.EncodeToString([]byte(zip(message)))
	for _, in := range []string{
		`{"awslogs":{"data":"` + data + `"}}`,
		`{"Records":[{"kinesis":{"data":"` + data + `"},"eventSource":"aws:kinesis"}]}`,
		`{"requestId":"r","timestamp":1,"records":[{"data":"` + data + `"}]}`,
		`{"records":[{"recordId":"1","data":"` + data + `"}]}`,
		zip(message), zip(message + message[:0] + "\n"), message,
	} {
		if got := told(t, []byte(in), Options{}); strings.Count(got, "record ") != 2 || strings.Contains(got, "problem") {
			t.Errorf("%.60s: %s", in, got)
		}
	}
	bomb := base64.StdEncoding.EncodeToString([]byte(zip(zip(zip(zip(zip(zip(line(1)))))))))
	if got := told(t, []byte(`{"data":"`+bomb+`"}`), Options{}); !strings.Contains(got, "problem") || strings.Contains(got, "record 1,") && strings.Contains(got, "cloudtrail") {
		t.Errorf("archives without end: %s", got)
	}
}

func TestBodies(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("logs/a/in.json.gz", zip(`{"prompt":"long"}`))
	write("a/out.json", `[{"completion":"x"},"[DONE]"]`)
	write("logs/broken.json", `{"prompt":`)
	write("logs/big.json", `"`+strings.Repeat("x", 5000)+`"`)
	os.Symlink("/etc/passwd", filepath.Join(dir, "link"))
	record := func(in, out string) string {
		return `{"schemaType":"ModelInvocationLog","timestamp":"2026-03-01T12:00:00Z","output":{"outputBodyS3Path":"` + out + `"},"input":{"inputBodyJson":null,"inputBodyS3Path":"` + in + `","n":1}}`
	}
	for _, tt := range []struct{ in, out, want string }{
		{"s3://logs/a/in.json.gz", "s3://logs/a/out.json", `"output":{"outputBodyJson":[{"completion":"x"},"[DONE]"],"outputBodyS3Path":"s3://logs/a/out.json"},"input":{"inputBodyJson":{"prompt":"long"},"inputBodyS3Path":"s3://logs/a/in.json.gz","n":1}`},
		{"s3://logs/none", "", "no_body: s3://logs/none: "},
		{"s3://logs/broken.json", "", "no_body: s3://logs/broken.json: no JSON"},
		{"s3://logs/big.json", "", "no_body: s3://logs/big.json: longer than"},
		{"s3://../../etc/passwd", "", "no_body"},
		{"s3://logs/../../../etc/passwd", "", "no_body"},
		{"s3://x/link", "", "no_body"},
		{"s3://logs/a", "", "no_body: s3://logs/a: is no file"},
		{"file:///etc/passwd", "", "no_body: file:///etc/passwd: not the address of an object"},
	} {
		got := told(t, []byte(record(tt.in, tt.out)), Options{Bodies: Folder(dir), MaxRecord: 4 << 10})
		if !strings.Contains(got, tt.want) || !strings.Contains(got, "record ") {
			t.Errorf("%s: got %s, want %s and a record", tt.in, got, tt.want)
		}
	}
	fails := func(context.Context, string) ([]byte, error) { return nil, errors.New("no such key") }
	if got := told(t, []byte(record("s3://a/b", "")), Options{Bodies: fails}); !strings.Contains(got, "no such key") || !strings.Contains(got, "record ") {
		t.Errorf("a source that fails: %s", got)
	}
}

func TestSkip(t *testing.T) {
	for key, want := range map[string]bool{
		"p/AWSLogs/1/CloudTrail/us-east-1/2026/03/01/1_CloudTrail_us-east-1_20260301T1205Z_abc.json.gz":                       false,
		"p/AWSLogs/1/CloudTrail-Digest/us-east-1/2026/03/01/1_CloudTrail-Digest_us-east-1_t_us-east-1_20260301T1205Z.json.gz": true,
		"AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/03/01/12/20260301T120000000Z_abc.json.gz":                        false,
		"AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/03/01/12/data/r_input.json.gz":                                   true,
		"AWSLogs/1/BedrockModelInvocationLogs/amazon-bedrock-logs-permission-check":                                           true,
		"/data/trail.json": false,
	} {
		if got := Skip(key); got != want {
			t.Errorf("Skip(%s) = %v", key, got)
		}
	}
}

// TestAllocations: a record of a list costs no memory once buffers have grown.
func TestAllocations(t *testing.T) {
	in := `{"Records":[` + strings.Repeat(line(1)+",", 999) + line(2) + `]}`
	scan := func() {
		if s, err := Scan(strings.NewReader(in), Options{}, func(*event.Raw) error { return nil }, func(event.Problem) {}); err != nil || s.Records != 1000 {
			t.Fatal(s, err)
		}
	}
	if n := testing.AllocsPerRun(5, scan); n > 200 {
		t.Errorf("%v allocations for 1,000 records, want those of the scan alone", n)
	}
}

// TestColumns: a row may be as odd as it likes, and takes no longer than others.
func TestColumns(t *testing.T) {
	const head = `{"eventtime":"2026-03-01T12:00:00Z","eventsource":"s","eventname":"n"`
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, `,"requestParameters.k%d":1`, i)
	}
	for in, want := range map[string]string{
		head + many.String() + "}": "problem 1, line 1, byte 0: unknown_format: a row of too many columns",
		head + `,"requestParameters` + strings.Repeat(".a", 1_000_000) + `":1}`: "record 1,",
		head + `,"userIdentity":"` + strings.Repeat("{a=", 100_000) + `}"}`:     "record 1,",
		head + `,"userIdentity":"{` + strings.Repeat("a=,", 100_000) + `}"}`:    "record 1,",
	} {
		if got := told(t, []byte(in), Options{}); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%.80s: %.200s, want %s", in, got, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	files, _ := filepath.Glob("testdata/aws/*")
	for _, file := range files {
		if filepath.Ext(file) != ".golden" {
			in, _ := os.ReadFile(file)
			f.Add(in)
			f.Add([]byte(zip(string(in))))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := told(t, in, Options{MaxRecord: 1 << 16})
		if pieces := tell(t, iotest.HalfReader(bytes.NewReader(in)), Options{MaxRecord: 1 << 16}); whole != pieces && len(in) < 1<<16 {
			t.Errorf("in pieces %s\nat once %s", pieces, whole)
		}
	})
}

func FuzzMend(f *testing.F) {
	f.Add([]byte(`{"a":"\ud800\q","b":NaN,"c":-01}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		var p parser
		out, err := p.clean(in, 1<<20)
		if err == nil && check(out) != nil {
			t.Errorf("%q became %q: %v", in, out, check(out))
		}
		if _, again := p.json.ParseBytes(out); err == nil && again != nil {
			t.Errorf("%q passes and is not read: %v", out, again)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	b.Run("cloudtrail", func(b *testing.B) {
		benchmark(b, []byte(`{"Records":[`+strings.Repeat(trail+",", 999)+trail+`]}`))
	})
	b.Run("invocation", func(b *testing.B) { benchmark(b, []byte(strings.Repeat(call+"\n", 1000))) })
}

func benchmark(b *testing.B, in []byte) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if s, err := Scan(bytes.NewReader(in), Options{}, func(*event.Raw) error { return nil }, func(event.Problem) {}); err != nil || s.Records != 1000 {
			b.Fatal(s, err)
		}
	}
}

var call = `{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2026-03-01T12:00:00Z","accountId":"111122223333","identity":{"arn":"arn:aws:iam::111122223333:user/ann"},"region":"us-east-1","requestId":"r1","operation":"Converse","modelId":"amazon.nova-lite-v1:0","input":{"inputContentType":"application/json","inputBodyJson":{"messages":[{"role":"user","content":[{"text":"` +
	strings.Repeat("Some words that somebody asked, with \\\"quotes\\\" and\\nlines. ", 20) + `"}]}]},"inputTokenCount":300},"output":{"outputContentType":"application/json","outputBodyJson":{"output":{"message":{"role":"assistant","content":[{"text":"` +
	strings.Repeat("And an answer. ", 40) + `"}]}},"stopReason":"end_turn","usage":{"inputTokens":300,"outputTokens":150,"totalTokens":450}},"outputTokenCount":150}}`

const trail = `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLEROLE00001:run-7","arn":"arn:aws:sts::111122223333:assumed-role/ml-batch/run-7","accountId":"111122223333","accessKeyId":"ASIAEXAMPLEKEY000001","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLEROLE00001","arn":"arn:aws:iam::111122223333:role/ml-batch","accountId":"111122223333","userName":"ml-batch"},"attributes":{"creationDate":"2026-03-01T11:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-03-01T12:00:00Z","eventSource":"bedrock.amazonaws.com","eventName":"InvokeModel","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.9","userAgent":"Boto3/1.40.0 md/Botocore#1.40.0 ua/2.0 os/linux lang/python#3.13.0","requestParameters":{"modelId":"us.amazon.nova-lite-v1:0"},"responseElements":null,"additionalEventData":{"inferenceRegion":"us-west-2"},"requestID":"00000000-0000-4000-8000-000000000001","eventID":"10000000-0000-4000-8000-000000000001","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"bedrock-runtime.us-east-1.amazonaws.com"}}`
