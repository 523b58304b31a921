package arrive

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (c *cloud) put(bucket, key, body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[bucket] == nil {
		c.objects[bucket] = map[string][]byte{}
	}
	c.objects[bucket][key] = []byte(body)
}

func (c *cloud) bucket() *Bucket {
	return NewBucket(BucketOptions{AWS: c.aws(), Bucket: "logs", Prefix: "x/", Strand: "management"})
}

func trailKey(region string, at time.Time, n int) string {
	return fmt.Sprintf("x/AWSLogs/1/CloudTrail/%s/%s/1_CloudTrail_%s_%s_%04d.json.gz",
		region, at.Format("2006/01/02"), region, at.Format("20060102T1504Z"), n)
}

// sorted returns the lines that became durable, in order, each once.
func (s *sink) sorted() string {
	all := slices.Clone(s.order)
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestBucket lists, and lists again: what is new is delivered, what came late
// too, what is no record never, and nothing twice.
func TestBucket(t *testing.T) {
	c, s := newCloud(), newSink()
	day := time.Date(2026, 3, 1, 23, 50, 0, 0, time.UTC)
	c.put("logs", trailKey("us-east-1", day, 1), "a")
	c.put("logs", trailKey("us-west-2", day, 1), string(packed("b")))
	c.put("logs", "x/AWSLogs/1/CloudTrail-Digest/us-east-1/2026/03/01/d.json.gz", "digest")
	c.put("logs", "x/AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/03/01/12/r.json.gz", "c")
	c.put("logs", "x/AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/03/01/12/data/r_input.json.gz", "body")
	c.put("logs", "x/AWSLogs/1/BedrockModelInvocationLogs/amazon-bedrock-logs-permission-check", "check")
	c.put("logs", "x/notes.json", "d")
	c.put("logs", "x/empty/", "")
	c.put("logs", "other/e.json", "elsewhere")
	run := func(want string) {
		t.Helper()
		before := s.n
		s.run(t, t.Context(), c.bucket())
		if got := s.sorted(); got != want || s.n-before > len(strings.Fields(want)) {
			t.Errorf("delivered %q in %d, want %q", got, s.n-before, want)
		}
		s.order = nil
	}
	run("a b c d")
	run("")
	c.put("logs", trailKey("us-west-2", day.Add(20*time.Minute), 1), "e") // of the next day
	c.put("logs", trailKey("us-east-1", day.Add(-time.Hour), 7), "late")
	c.put("logs", trailKey("eu-west-1", day, 1), "f") // a new region
	run("e f late")
	run("")
	d := s.all[0]
	if d.How != ByS3 || d.Strand != "management" || !strings.HasPrefix(d.Origin.Name, "s3://logs/x/") {
		t.Errorf("delivery %+v", d)
	}
}

// TestBucketKilled kills at random deliveries while objects appear in several
// folders, over more than a page of keys.
func TestBucketKilled(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		c, s := newCloud(), newSink()
		s.sealEvery = 1 + r.IntN(5)
		at := time.Date(2026, 2, 27, 0, 0, 0, 0, time.UTC)
		n := 0
		for range 12 {
			for range r.IntN(200) {
				n++
				at = at.Add(time.Duration(r.IntN(300)) * time.Second)
				late := at.Add(-time.Duration(r.IntN(900)) * time.Second)
				c.put("logs", trailKey(fmt.Sprintf("r-%d", r.IntN(3)), late, n), fmt.Sprint(n))
			}
			s.killAt = s.n + 1 + r.IntN(150)
			s.run(t, t.Context(), c.bucket())
			s.crash()
		}
		s.run(t, t.Context(), c.bucket())
		s.seal()
		if len(s.lines) != n {
			t.Errorf("seed %d: %d objects delivered, want %d", seed, len(s.lines), n)
		}
		if len(s.cursor) > 100_000 {
			t.Errorf("seed %d: a cursor of %d bytes", seed, len(s.cursor))
		}
	}
}

// TestBucketPages lists more keys than a page has, with a bounded cursor, and
// does not read them again.
func TestBucketPages(t *testing.T) {
	c, s := newCloud(), newSink()
	for n := range 2500 {
		c.put("logs", trailKey("us-east-1", time.Date(2026, 3, 1, 0, n, 0, 0, time.UTC), n), fmt.Sprint(n))
	}
	s.run(t, t.Context(), c.bucket())
	if len(s.lines) != 2500 || len(s.cursor) > 20_000 {
		t.Errorf("%d objects, a cursor of %d bytes", len(s.lines), len(s.cursor))
	}
	before := c.asked["GetObject"]
	s.run(t, t.Context(), c.bucket())
	if again := c.asked["GetObject"] - before; again != 0 {
		t.Errorf("%d objects are fetched again", again)
	}
}

// TestBucketTroubles: one object that cannot be had does not stop the others,
// and a connection that breaks is taken up where it was.
func TestBucketTroubles(t *testing.T) {
	c, s := newCloud(), newSink()
	c.put("logs", "x/a", "a")
	c.put("logs", "x/b", strings.Repeat("b", 100))
	c.put("logs", "x/c", "c")
	c.put("logs", "x/d", strings.Repeat("d", 2000))
	c.denied["x/a"], c.cut["x/b"] = true, 30
	src := NewBucket(BucketOptions{AWS: c.aws(), Bucket: "logs", Prefix: "x/", Most: 1000})
	s.run(t, t.Context(), src)
	if got := s.sorted(); got != strings.Repeat("b", 100)+" c" {
		t.Errorf("delivered %q", got)
	}
	if st := src.State(); st.Problems != 2 || st.Error == "" || c.asked["GetObject"] != 5 {
		t.Errorf("state %+v, %d fetched; want two problems, and one object fetched twice", st, c.asked["GetObject"])
	}
	c.denied["x/a"] = false
	s.run(t, t.Context(), src)
	if s.lines["a"] != 1 || s.lines["c"] != 1 {
		t.Errorf("delivered %v; want a once it is allowed, and c once", s.lines)
	}
	if err := NewBucket(BucketOptions{AWS: c.aws(), Bucket: "none"}).Run(t.Context(), "", s.deliver); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("a missing bucket: %v", err)
	}
	if err := c.bucket().Run(t.Context(), "", func(*Delivery) error { return errKilled }); err != errKilled {
		t.Errorf("%v, want the error of deliver", err)
	}
}

// The sources speak to a real socket too.
func TestBucketOverLoopback(t *testing.T) {
	c, s := newCloud(), newSink()
	c.put("logs", "x/a b+c%.json", "a")
	server := httptest.NewServer(c)
	defer server.Close()
	a := c.aws()
	a.Endpoint, a.Config.HTTPClient = server.URL, server.Client()
	s.run(t, t.Context(), NewBucket(BucketOptions{AWS: a, Bucket: "logs"}))
	if s.sorted() != "a" {
		t.Errorf("delivered %q", s.sorted())
	}
}

func s3Notice(key string) string {
	return `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"logs"},"object":{"key":"` + key + `","size":1}}}]}`
}

func inSNS(text string) string {
	b, _ := json.Marshal(map[string]string{"Type": "Notification", "Message": text})
	return string(b)
}

func TestNotices(t *testing.T) {
	for _, c := range []struct{ name, message, want string }{
		{"S3", s3Notice("a%3Db+c.json"), "logs/a=b c.json"},
		{"EventBridge", `{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":"logs"},"object":{"key":"a=b+c.json"}}}`, "logs/a=b+c.json"},
		{"S3 in SNS", inSNS(s3Notice("a")), "logs/a"},
		{"CloudTrail in SNS", inSNS(`{"s3Bucket":"logs","s3ObjectKey":["a","b"]}`), "logs/a logs/b"},
		{"a test", `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs"}`, ""},
		{"a deletion", strings.Replace(s3Notice("a"), "ObjectCreated:Put", "ObjectRemoved:Delete", 1), ""},
		{"another event", `{"detail-type":"Object Deleted","detail":{"bucket":{"name":"logs"},"object":{"key":"a"}}}`, ""},
		{"no JSON", `x`, "error"},
		{"no notification", `{"a":1}`, "error"},
		{"no key", `{"detail-type":"Object Created","detail":{"bucket":{"name":"logs"}}}`, "error"},
		{"no notification in SNS", inSNS("x"), "error"},
		{"a bad key", s3Notice("%zz"), "error"},
		{"too many", inSNS(`{"s3Bucket":"logs","s3ObjectKey":["` + strings.Repeat(`a","`, 1000) + `a"]}`), "error"},
	} {
		all, err := parseNotice(c.message)
		var got []string
		for _, o := range all {
			got = append(got, o.bucket+"/"+o.key)
		}
		if err != nil {
			got = []string{"error"}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func FuzzNotice(f *testing.F) {
	f.Add(s3Notice("a%3Db"))
	f.Add(inSNS(s3Notice("a")))
	f.Add(`{"Records":[{}],"Message":null}`)
	f.Fuzz(func(t *testing.T, message string) {
		all, err := parseNotice(message)
		for _, o := range all {
			if err != nil || o.bucket == "" || o.key == "" {
				t.Errorf("%q names %+v, %v", message, o, err)
			}
		}
	})
}

func (c *cloud) queue(o QueueOptions) *Queue {
	o.AWS, o.URL = c.aws(), "http://cloud.test/1/queue"
	return NewQueue(o)
}

func (c *cloud) count(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op == "messages" {
		return len(c.messages)
	}
	return c.asked[op]
}

// TestQueue deletes a message once its objects are sealed, not before; what is
// no notification stays, and one bad object leaves its message to come again.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCloud(), newSink()
		s.sealEvery = 1000 // by hand
		c.put("logs", "a", "a")
		c.put("logs", "b c", "b")
		c.put("logs", "no", "no")
		c.put("other", "o", "other")
		c.denied["no"] = true
		c.send(inSNS(`{"s3Bucket":"logs","s3ObjectKey":["a","b c"]}`))
		c.send(s3Notice("gone"))
		c.send(s3Notice("no"))
		c.send(`garbage`)
		c.send(`{"Event":"s3:TestEvent"}`)
		c.send(`{"s3Bucket":"other","s3ObjectKey":["o"]}`)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		src := c.queue(QueueOptions{Buckets: []string{"logs"}})
		go func() { defer close(done); s.run(t, ctx, src) }()
		time.Sleep(time.Second)
		synctest.Wait()
		// The test message and the one whose object is gone are done with; one waits for the lake.
		if n, st := c.count("messages"), src.State(); n != 4 || st.Behind != 1 || st.Deliveries != 2 {
			t.Errorf("%d messages, %+v; want 4 left, 1 held, 2 delivered", n, st)
		}
		time.Sleep(20 * time.Minute) // longer than a message is hidden: it is kept hidden
		if s.mu.Lock(); len(s.pending) != 2 {
			t.Errorf("pending %q, want a and b once", s.pending)
		}
		s.seal()
		s.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := c.count("messages"); n != 3 {
			t.Errorf("%d messages, want those that could not be read", n)
		}
		c.mu.Lock()
		c.denied["no"] = false
		c.mu.Unlock()
		time.Sleep(6 * time.Minute)
		s.mu.Lock()
		s.seal()
		s.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := c.count("messages"); n != 2 || s.lines["no"] == 0 {
			t.Errorf("%d messages, delivered %v; want the object once it is allowed", n, s.lines)
		}
		cancel()
		<-done
	})
}

// TestQueueBackPressure holds no more messages than it may.
func TestQueueBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCloud(), newSink()
		s.sealEvery = 1000
		for n := range 50 {
			c.put("logs", fmt.Sprint("k", n), fmt.Sprint(n))
			c.send(s3Notice(fmt.Sprint("k", n)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		src := c.queue(QueueOptions{Held: 20})
		go func() { defer close(done); s.run(t, ctx, src) }()
		for want := 20; want > 0; want = min(20, c.count("messages")) {
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			s.mu.Lock()
			if len(s.pending) != want {
				t.Errorf("%d objects wait for the lake, want %d", len(s.pending), want)
			}
			s.seal()
			s.mu.Unlock()
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if len(s.lines) == 50 {
				break
			}
		}
		cancel()
		<-done
		if len(s.lines) != 50 || c.count("messages") != 0 {
			t.Errorf("%d objects, %d messages left; want 50, none", len(s.lines), c.count("messages"))
		}
	})
}

// TestQueueKilled kills at random; what was not sealed comes again.
func TestQueueKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 4))
		c, s := newCloud(), newSink()
		s.sealEvery = 3
		for n := range 100 {
			c.put("logs", fmt.Sprint("k", n), fmt.Sprint(n))
			c.send(s3Notice(fmt.Sprint("k", n)))
		}
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			s.killAt = s.n + 1 + r.IntN(15)
			go func() { defer close(done); s.run(t, ctx, c.queue(QueueOptions{})) }()
			time.Sleep(6 * time.Minute)
			cancel()
			<-done
			s.crash()
		}
		if len(s.lines) != 100 || c.count("messages") > 2 { // up to two wait for a third to be sealed
			t.Errorf("%d objects, %d messages left; want 100, hardly any", len(s.lines), c.count("messages"))
		}
	})
}

func (c *cloud) group(follow bool) *Group {
	return NewGroup(GroupOptions{AWS: c.aws(), Group: "bedrock", Follow: follow, Strand: "invocation"})
}

func (c *cloud) event(at time.Time, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, logEvent{EventID: fmt.Sprintf("%056d", n), Message: fmt.Sprint(n), Stream: "s", Timestamp: at.UnixMilli()})
}

// TestGroup polls: new events, late ones, those of one millisecond, those of the
// future, over pages of which some are empty; each once.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCloud(), newSink()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		src := c.group(true)
		go func() { defer close(done); s.run(t, ctx, src) }()
		n := 0
		add := func(at time.Time, count int) {
			for range count {
				n++
				c.event(at, n)
			}
		}
		check := func() {
			t.Helper()
			time.Sleep(15 * time.Second)
			synctest.Wait()
			got, _ := s.since(0)
			if slices.Sort(got); len(got) != n || len(slices.Compact(got)) != n {
				t.Errorf("%d events delivered, want %d, each once", len(got), n)
			}
		}
		for i := range 12_000 {
			add(time.Now().Add(time.Duration(i-12_000)*time.Second), 1)
		}
		check()
		add(time.Now(), 3)
		check()
		add(time.Now().Add(-9*time.Minute), 2) // late
		check()
		add(time.Now().Add(2*time.Hour), 1) // of the future
		check()
		add(time.Now(), 1) // which must not hide the present
		check()
		add(time.Now(), 6000) // of one millisecond, more than are remembered
		check()
		cancel()
		<-done
		if m, err := parseMoment(s.cursor); err != nil || len(m.Late) > 4*lateEvents {
			t.Errorf("the cursor knows %d events, %v", len(m.Late), err)
		}
		d := s.all[0]
		if d.How != ByCloudWatch || d.Strand != "invocation" || d.Origin.Name != "bedrock" {
			t.Errorf("delivery %+v", d)
		}
	})
}

// TestGroupKilled kills at random deliveries, over many pages.
func TestGroupKilled(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 5))
		c, s := newCloud(), newSink()
		s.sealEvery = 1 + r.IntN(3)
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		n := 0
		for range 6 {
			for range r.IntN(6000) {
				n++
				at = at.Add(time.Duration(r.IntN(400)) * time.Millisecond)
				c.event(at.Add(-time.Duration(r.IntN(60))*time.Second), n)
			}
			s.killAt = s.n + 1 + r.IntN(3)
			s.run(t, t.Context(), c.group(false))
			s.crash()
		}
		s.run(t, t.Context(), c.group(false))
		s.seal()
		if len(s.lines) != n {
			t.Errorf("seed %d: %d events, want %d", seed, len(s.lines), n)
		}
	}
	err := NewGroup(GroupOptions{AWS: newCloud().aws(), Group: "none"}).Run(t.Context(), "", newSink().deliver)
	if err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("a missing group: %v", err)
	}
}

func FuzzAWSCursors(f *testing.F) {
	f.Add(`{"v":1,"places":{"a/":{"floor":"a/b","late":["x"],"flat":true},"b/":null}}`)
	f.Add(`{"v":1,"floor":5,"newest":9,"late":{"x":7}}`)
	f.Add(`{"v":2}`)
	f.Fuzz(func(t *testing.T, cursor string) {
		if p, err := parsePlaces(cursor); err == nil {
			for _, at := range p.Places {
				at.mark("key", 1)
			}
			if _, err := parsePlaces(p.cursor()); err != nil {
				t.Errorf("%q does not survive: %v", cursor, err)
			}
		}
		if m, err := parseMoment(cursor); err == nil {
			m.mark("id", 5)
			m.shrink(time.Minute, 10)
			if _, err := parseMoment(m.cursor()); err != nil {
				t.Errorf("%q does not survive: %v", cursor, err)
			}
		}
	})
}
