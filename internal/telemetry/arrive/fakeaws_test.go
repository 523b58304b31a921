package arrive

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// cloud is S3, SQS and CloudWatch Logs with memory, as their wire protocols
// have them. It is as strict as AWS where AWS is: pages of 1,000 keys and 10,000
// events, batches of ten, receipts that a later delivery makes stale, messages
// that are hidden for a time. Time is that of the test's bubble.
type cloud struct {
	mu       sync.Mutex
	objects  map[string]map[string][]byte // by bucket and key
	denied   map[string]bool              // keys that are refused
	cut      map[string]int               // keys whose next reply ends after so many bytes
	messages []*message
	next     int
	log      []logEvent
	asked    map[string]int // requests by operation
}

type message struct {
	id, body, receipt string
	visible           time.Time
	received          int
}

type logEvent struct {
	EventID   string `json:"eventId"`
	Message   string `json:"message"`
	Stream    string `json:"logStreamName"`
	Timestamp int64  `json:"timestamp"`
	Ingestion int64  `json:"ingestionTime"`
}

func newCloud() *cloud {
	return &cloud{objects: map[string]map[string][]byte{}, denied: map[string]bool{}, cut: map[string]int{}, asked: map[string]int{}}
}

// aws is how a source reaches the cloud, without a network in between.
func (c *cloud) aws() AWS {
	return AWS{Endpoint: "http://cloud.test", Config: aws.Config{
		Region: "us-east-1", HTTPClient: c, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "x"}, nil
		}),
	}}
}

// Do implements the SDK's HTTP client.
func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	c.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	if n, err := strconv.Atoi(res.Header.Get("X-Cut")); err == nil {
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(w.Body.Bytes()[:n]), broke{}))
	}
	res.ContentLength = int64(w.Body.Len())
	return res, nil
}

type broke struct{}

func (broke) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
		http.Error(w, "not signed", http.StatusForbidden)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	target := r.Header.Get("X-Amz-Target")
	service, op, _ := strings.Cut(target, ".")
	switch service {
	case "":
		c.s3(w, r)
	case "AmazonSQS":
		c.asked[op]++
		c.sqs(w, r, op)
	case "Logs_20140328":
		c.asked[op]++
		c.logs(w, r, op)
	default:
		http.Error(w, "unknown target "+target, 400)
	}
}

// s3 answers ListObjectsV2 and GetObject, by path.
func (c *cloud) s3(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	objects, ok := c.objects[bucket]
	switch {
	case !ok:
		s3Error(w, 404, "NoSuchBucket")
	case r.Method != "GET":
		s3Error(w, 405, "MethodNotAllowed")
	case key == "":
		c.asked["ListObjectsV2"]++
		listObjects(w, r, objects)
	default:
		c.asked["GetObject"]++
		c.getObject(w, r, objects, key)
	}
}

func s3Error(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, code)
}

func listObjects(w http.ResponseWriter, r *http.Request, objects map[string][]byte) {
	type content struct {
		Key  string
		Size int
	}
	type common struct{ Prefix string }
	var out struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		KeyCount              int
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []common
	}
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains([]string{"list-type", "prefix", "delimiter", "start-after", "continuation-token", "x-id"}, name) {
			s3Error(w, 400, "InvalidArgument "+name)
			return
		}
	}
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" { // opaque, and stronger than start-after
		b, err := hex.DecodeString(token)
		if err != nil {
			s3Error(w, 400, "InvalidArgument")
			return
		}
		after = string(b)
	}
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		name, dir := key, false
		if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			name, dir = key[:len(prefix)+i+1], true
			if name <= after || strings.HasPrefix(after, name) {
				continue
			}
		}
		if n := len(out.CommonPrefixes); dir && n > 0 && out.CommonPrefixes[n-1].Prefix == name {
			continue
		}
		if out.KeyCount == 1000 {
			out.IsTruncated = true
			break
		}
		out.KeyCount++
		if dir {
			out.CommonPrefixes = append(out.CommonPrefixes, common{name})
		} else {
			out.Contents = append(out.Contents, content{name, len(objects[name])})
		}
		out.NextContinuationToken = hex.EncodeToString([]byte(name))
	}
	if !out.IsTruncated {
		out.NextContinuationToken = ""
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

func (c *cloud) getObject(w http.ResponseWriter, r *http.Request, objects map[string][]byte, key string) {
	b, ok := objects[key]
	if c.denied[key] {
		s3Error(w, 403, "AccessDenied")
		return
	}
	if !ok {
		s3Error(w, 404, "NoSuchKey")
		return
	}
	sum := md5.Sum(b)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	if m := r.Header.Get("If-Match"); m != "" && m != etag {
		s3Error(w, 412, "PreconditionFailed")
		return
	}
	w.Header().Set("ETag", etag)
	status := 200
	if rg := r.Header.Get("Range"); rg != "" {
		from, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rg, "bytes="), "-"))
		if err != nil || from >= len(b) {
			s3Error(w, 416, "InvalidRange")
			return
		}
		b, status = b[from:], 206
	}
	if n, ok := c.cut[key]; ok {
		delete(c.cut, key)
		w.Header().Set("X-Cut", strconv.Itoa(min(n, len(b))))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// awsError is an error of the JSON protocols.
func awsError(w http.ResponseWriter, code string) {
	w.Header().Set("X-Amzn-Query-Error", code+";Sender")
	w.WriteHeader(400)
	fmt.Fprintf(w, `{"__type":"com.amazonaws#%s","message":%q}`, code, code)
}

func (c *cloud) send(body string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	c.messages = append(c.messages, &message{id: fmt.Sprint("m", c.next), body: body})
}

// sqs answers the operations of a queue, in JSON 1.0.
func (c *cloud) sqs(w http.ResponseWriter, r *http.Request, op string) {
	var in struct {
		QueueUrl            string
		MaxNumberOfMessages int
		VisibilityTimeout   int
		WaitTimeSeconds     int
		Entries             []struct {
			Id, ReceiptHandle string
			VisibilityTimeout int
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		awsError(w, "SerializationException")
		return
	}
	if in.QueueUrl != "http://cloud.test/1/queue" {
		awsError(w, "AWS.SimpleQueueService.NonExistentQueue")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if op == "ReceiveMessage" {
		c.receive(w, r, in.MaxNumberOfMessages, in.VisibilityTimeout, in.WaitTimeSeconds)
		return
	}
	type entry struct {
		Id          string
		Code        string `json:",omitempty"`
		SenderFault bool   `json:",omitempty"`
	}
	out := struct{ Successful, Failed []entry }{[]entry{}, []entry{}}
	if len(in.Entries) == 0 || len(in.Entries) > 10 {
		awsError(w, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
		return
	}
	for _, e := range in.Entries {
		i := slices.IndexFunc(c.messages, func(m *message) bool { return m.receipt == e.ReceiptHandle })
		switch {
		case i < 0:
			out.Failed = append(out.Failed, entry{e.Id, "ReceiptHandleIsInvalid", true})
			continue
		case op == "DeleteMessageBatch":
			c.messages = slices.Delete(c.messages, i, i+1)
		case op == "ChangeMessageVisibilityBatch":
			c.messages[i].visible = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
		}
		out.Successful = append(out.Successful, entry{Id: e.Id})
	}
	_ = json.NewEncoder(w).Encode(out)
}

// receive waits for messages as long polling does.
func (c *cloud) receive(w http.ResponseWriter, r *http.Request, most, hidden, wait int) {
	if most < 1 || most > 10 || wait > 20 || hidden > 12*3600 {
		awsError(w, "InvalidParameterValue")
		return
	}
	type received struct{ MessageId, ReceiptHandle, MD5OfBody, Body string }
	var out struct{ Messages []received }
	for until := time.Now().Add(time.Duration(wait) * time.Second); ; {
		for _, m := range c.messages {
			if len(out.Messages) < most && !m.visible.After(time.Now()) {
				m.received++
				m.receipt = fmt.Sprintf("%s-%d", m.id, m.received)
				m.visible = time.Now().Add(time.Duration(hidden) * time.Second)
				sum := md5.Sum([]byte(m.body))
				out.Messages = append(out.Messages, received{m.id, m.receipt, hex.EncodeToString(sum[:]), m.body})
			}
		}
		if len(out.Messages) > 0 || !time.Now().Before(until) {
			break
		}
		c.mu.Unlock()
		err := pause(r.Context(), time.Second)
		c.mu.Lock()
		if err != nil {
			return
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// logs answers FilterLogEvents, in JSON 1.1.
func (c *cloud) logs(w http.ResponseWriter, r *http.Request, op string) {
	var in struct {
		LogGroupName string `json:"logGroupName"`
		StartTime    int64  `json:"startTime"`
		NextToken    string `json:"nextToken"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || op != "FilterLogEvents" {
		awsError(w, "SerializationException")
		return
	}
	if in.LogGroupName != "bedrock" {
		awsError(w, "ResourceNotFoundException")
		return
	}
	all := slices.DeleteFunc(slices.Clone(c.log), func(e logEvent) bool { return e.Timestamp < in.StartTime })
	slices.SortStableFunc(all, func(a, b logEvent) int { return int(a.Timestamp - b.Timestamp) })
	from, page := 0, []logEvent{}
	token := func(n int) string { return fmt.Sprintf("t-%d-%d", in.StartTime, n) }
	if in.NextToken != "" {
		if _, err := fmt.Sscanf(in.NextToken, fmt.Sprintf("t-%d-%%d", in.StartTime), &from); err != nil || from > len(all) {
			awsError(w, "InvalidParameterException") // a token is for its own request only
			return
		}
	}
	out := map[string]any{"searchedLogStreams": []any{}}
	switch rest := all[from:]; {
	case in.NextToken == "" && len(all) > 0: // AWS may answer with no events and a token
		out["nextToken"] = token(0)
	case len(rest) > 10_000:
		page, out["nextToken"] = rest[:10_000], token(from+10_000)
	default:
		page = rest
	}
	out["events"] = page
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}
