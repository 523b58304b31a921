package lake

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go/compress/zstd"

	"gatehouse/internal/event"
)

// words makes text about as dense as English: common words often, rare ones
// seldom.
func words(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		k := int(float64(len(vocabulary)) * r.Float64() * r.Float64() * r.Float64())
		b.WriteString(vocabulary[k])
		b.WriteByte(" \n"[min(r.IntN(30), 1)&r.IntN(2)&r.IntN(2)])
	}
	return b.String()
}

var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(2, 2))
	all := make([]string, 20_000)
	for i := range all {
		b := make([]byte, 2+r.IntN(9))
		for j := range b {
			b[j] = "etaoinshrdlucmfwypvbgk"[int(22*r.Float64()*r.Float64())]
		}
		all[i] = string(b)
	}
	return all
}()

// mix are records as of a lake in use: three of CloudTrail to one invocation,
// which has its prompt and answer in columns as well.
func mix(n int) []*event.Event {
	r := rand.New(rand.NewPCG(1, 1))
	all := make([]*event.Event, n)
	for i := range all {
		if i%4 == 3 {
			all[i] = invocation(r, i)
		} else {
			all[i] = cloudtrail(r, i)
		}
	}
	return all
}

func uuid(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.IntN(65536), r.IntN(65536), r.IntN(65536), r.Int64N(1<<48))
}

func base(r *rand.Rand, i int, strand event.Strand) (*event.Event, string, string) {
	id, user := uuid(r), fmt.Sprintf("arn:aws:iam::%012d:user/team-%d/user-%d", 111122223333+r.IntN(5), r.IntN(8), r.IntN(300))
	e := happening(strand, id, day.Add(time.Duration(i)*250*time.Millisecond))
	e.Values = [event.NumFields]event.Value{}
	e.SetText(event.RequestID, id)
	e.SetText(event.AWSRegion, "us-east-1")
	e.SetText(event.IdentityARN, user)
	e.SetText(event.UserUsername, user)
	e.SetText(event.CloudService, "Bedrock")
	e.SetBool(event.Success, true)
	return e, id, user
}

func cloudtrail(r *rand.Rand, i int) *event.Event {
	e, id, user := base(r, i, event.Management)
	name := []string{"InvokeModel", "Converse", "ListFoundationModels", "GetFoundationModel", "AssumeRole"}[r.IntN(5)]
	ip, agent := fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256)), fmt.Sprintf("aws-sdk-go-v2/1.%d os/linux lang/go#1.26.%d md/GOOS#linux md/GOARCH#amd64", r.IntN(9), r.IntN(9))
	eventID := uuid(r)
	e.SetText(event.EventName, name)
	e.SetText(event.Action, name)
	e.SetText(event.EventSource, "bedrock.amazonaws.com")
	e.SetText(event.EventID, eventID)
	e.SetText(event.SourceIPAddress, ip)
	e.SetText(event.SrcDeviceIP, ip)
	e.SetText(event.UserAgent, agent)
	e.SetText(event.HTTPUserAgent, agent)
	e.SetBool(event.ReadOnly, true)
	e.Raw = fmt.Appendf(nil, `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA%016X:session-%d","arn":%q,"accountId":"111122223333","accessKeyId":"ASIA%016X","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA%016X","arn":"arn:aws:iam::111122223333:role/app-%d","accountId":"111122223333","userName":"app"},"attributes":{"creationDate":%q,"mfaAuthenticated":"false"}}},"eventTime":%q,"eventSource":"bedrock.amazonaws.com","eventName":%q,"awsRegion":"us-east-1","sourceIPAddress":%q,"userAgent":%q,"requestParameters":{"modelId":"anthropic.claude-3-5-sonnet-20241022-v2:0","filter":{"names":["a","b"],"limit":%d}},"responseElements":null,"additionalEventData":{"inferenceRegion":"us-east-1","bytesIn":%d},"requestID":%q,"eventID":%q,"readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"bedrock-runtime.us-east-1.amazonaws.com"}}`,
		r.Uint64(), r.IntN(999), user, r.Uint64(), r.Uint64(), r.IntN(9), e.Time.Format(time.RFC3339), e.Time.Format(time.RFC3339), name, ip, agent, r.IntN(100), r.IntN(9999), id, eventID)
	return e
}

func invocation(r *rand.Rand, i int) *event.Event {
	e, id, user := base(r, i, event.Invocation)
	prompt, answer := words(r, 250), words(r, 300)
	e.SetText(event.Operation, "InvokeModel")
	e.SetText(event.ModelID, "anthropic.claude-3-5-sonnet-20241022-v2:0")
	e.SetText(event.PromptText, prompt)
	e.SetText(event.ResponseText, answer)
	e.SetInt(event.InputTokenCount, int64(r.IntN(900)))
	e.SetInt(event.OutputTokenCount, int64(r.IntN(900)))
	e.Raw = fmt.Appendf(nil, `{"timestamp":%q,"accountId":"111122223333","identity":{"arn":%q},"region":"us-east-1","requestId":%q,"operation":"InvokeModel","modelId":"anthropic.claude-3-5-sonnet-20241022-v2:0","input":{"inputContentType":"application/json","inputBodyJson":{"anthropic_version":"bedrock-2023-05-31","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text","text":%q}]}]},"inputTokenCount":%d},"output":{"outputContentType":"application/json","outputBodyJson":{"id":"msg_%x","type":"message","role":"assistant","content":[{"type":"text","text":%q}],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}},"outputTokenCount":%d},"schemaType":"ModelInvocationLog","schemaVersion":"1.0"}`,
		e.Time.Format(time.RFC3339), user, id, prompt, r.IntN(900), r.Uint64(), answer, r.IntN(900), r.IntN(900), r.IntN(900))
	return e
}

func rawBytes(events []*event.Event) (n int64) {
	for _, e := range events {
		n += int64(len(e.Raw)) + 1
	}
	return n
}

// BenchmarkBuilder quotes bytes of JSON, and by how much the file is smaller.
func BenchmarkBuilder(b *testing.B) {
	events := mix(20_000)
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, 6)
	for _, e := range events {
		z.Write(e.Raw)
		z.Write([]byte("\n"))
	}
	z.Close()
	for _, c := range []struct {
		name string
		o    BuilderOptions
	}{
		{"fastest", BuilderOptions{}},
		{"fastest-no-catalogue", BuilderOptions{NoCatalogue: true}},
		{"default", BuilderOptions{Level: zstd.SpeedDefault}},
		{"better", BuilderOptions{Level: zstd.SpeedBetterCompression}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.o.Dir = b.TempDir()
			builder := NewBuilder(c.o)
			b.SetBytes(rawBytes(events))
			b.ReportAllocs()
			var size int64
			for b.Loop() {
				for _, e := range events {
					if err := builder.Add(e); err != nil {
						b.Fatal(err)
					}
				}
				files, _, err := builder.Flush()
				if err != nil {
					b.Fatal(err)
				}
				size = files[0].Bytes
			}
			b.ReportMetric(float64(rawBytes(events))/float64(size), "raw/file")
			b.ReportMetric(float64(size)/float64(zipped.Len()), "file/gzip")
		})
	}
}

func BenchmarkCatalogue(b *testing.B) {
	events := mix(2000)
	b.SetBytes(rawBytes(events))
	b.ReportAllocs()
	for t := newTree(); b.Loop(); {
		for _, e := range events {
			t.add(e.Raw)
		}
	}
}

// BenchmarkLake appends, seals and merges, as a lake in use does.
func BenchmarkLake(b *testing.B) {
	events := mix(20_000)
	b.SetBytes(rawBytes(events))
	b.ReportAllocs()
	for b.Loop() {
		l, err := Open(b.Context(), Options{Dir: b.TempDir(), SealRows: 1000})
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(events); i += 250 {
			if _, _, err := l.Append(events[i:i+250], nil); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := l.Merge(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

// BenchmarkDuplicates looks ids up that are new, in a run that has a filter or
// none.
func BenchmarkDuplicates(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	hash := func() (k known) {
		for i := range k.id {
			k.id[i] = byte(r.Uint32())
		}
		return k
	}
	all := make([]known, 1<<18)
	for i := range all {
		all[i] = hash()
	}
	dir := b.TempDir()
	e, err := writeRun(OSFS{}, dir, "run.ids", int64(len(all)), inOrder(all))
	if err != nil {
		b.Fatal(err)
	}
	for name, room := range map[string]int64{"filter": 1 << 30, "none": 0} {
		run, err := openRun(OSFS{}, dir, e, &room)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, ok, err := run.find(hash().id); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
