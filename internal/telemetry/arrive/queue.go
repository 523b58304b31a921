package arrive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"gatehouse/internal/event"
)

// QueueOptions say which notifications are read. Zero values mean what the
// comments say.
type QueueOptions struct {
	Name    string // of the source: the URL
	AWS     AWS
	URL     string
	Buckets []string // the only ones that are read; empty: all that are named
	Strand  event.Strand
	// Hidden is how long SQS hides a message from others once it was handed out:
	// 5 minutes. It is prolonged for as long as the message is held here.
	Hidden time.Duration
	Held   int   // messages that may wait for the lake: 1000
	Most   int64 // bytes of an object: 2 GiB
	Now    func() time.Time
}

// Queue is the source of objects that notifications in SQS name. The queue keeps
// the place, so there is no cursor: a message is deleted once all its objects are
// durable in the lake, and comes again if that does not happen. What is no
// notification, or names what cannot be fetched, is left for the queue's own
// policy of redrive.
type Queue struct {
	meter
	o      QueueOptions
	client *sqs.Client
	obj    objects
}

// NewQueue makes the source; nothing is asked for before Run.
func NewQueue(o QueueOptions) *Queue {
	o.Name = cmp.Or(o.Name, o.URL)
	o.Hidden = cmp.Or(o.Hidden, 5*time.Minute)
	o.Held = cmp.Or(o.Held, 1000)
	o.Most = cmp.Or(o.Most, maxObject)
	if o.Now == nil {
		o.Now = time.Now
	}
	q := &Queue{o: o}
	q.s.Behind = -1
	q.client = sqs.NewFromConfig(o.AWS.Config, func(s *sqs.Options) {
		if o.AWS.Endpoint != "" {
			s.BaseEndpoint = &o.AWS.Endpoint
		}
	})
	q.obj = objects{meter: &q.meter, client: o.AWS.s3(), strand: o.Strand, most: o.Most, now: o.Now}
	return q
}

// Name implements [Source].
func (q *Queue) Name() string { return q.o.Name }

const (
	atOnce  = 10               // messages of one call; SQS takes no more
	longest = 20 * time.Second // that SQS waits for a message
)

// Run implements [Source]. It has no end of its own.
func (q *Queue) Run(ctx context.Context, _ string, deliver func(*Delivery) error) error {
	ctx, cancel := context.WithCancel(ctx)
	h := &holding{q: q, held: map[string]bool{}, room: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	var keeper sync.WaitGroup
	keeper.Go(func() { h.keep(ctx) })
	defer keeper.Wait()
	defer cancel()
	for {
		if err := h.wait(ctx); err != nil {
			return err
		}
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.o.URL, MaxNumberOfMessages: atOnce,
			WaitTimeSeconds: int32(longest / time.Second), VisibilityTimeout: int32(q.o.Hidden / time.Second),
		})
		if err != nil {
			return cmp.Or(ctx.Err(), fmt.Errorf("%s: %w", q.o.Name, err))
		}
		for i := range out.Messages { // all at once, so that none runs out of time behind another
			h.hold(aws.ToString(out.Messages[i].ReceiptHandle))
		}
		for i := range out.Messages {
			if err := q.message(ctx, &out.Messages[i], h, deliver); err != nil {
				return err
			}
		}
	}
}

// message delivers the objects that one message names.
func (q *Queue) message(ctx context.Context, m *types.Message, h *holding, deliver func(*Delivery) error) error {
	receipt := aws.ToString(m.ReceiptHandle)
	named, err := parseNotice(aws.ToString(m.Body))
	if err == nil {
		err = q.allowed(named)
	}
	if err != nil {
		q.problem(fmt.Errorf("message %s: %w", aws.ToString(m.MessageId), err), q.o.Now())
		h.release(receipt)
		return nil
	}
	named = slices.DeleteFunc(named, func(o objectName) bool { return skipped(o.key) })
	left := &atomic.Int64{}
	left.Store(int64(len(named)) + 1)
	taken := func() {
		if left.Add(-1) == 0 {
			h.done(receipt)
		}
	}
	for _, o := range named {
		err := q.obj.object(ctx, o.bucket, o.key, Delivery{Taken: sync.OnceFunc(taken)}, deliver)
		switch {
		case errors.Is(err, errNotFetched) && ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errNotFetched):
			q.problem(err, q.o.Now())
			h.release(receipt)
			return nil // it comes again as a whole
		case err != nil:
			return err
		}
	}
	taken()
	return nil
}

func (q *Queue) allowed(named []objectName) error {
	for _, o := range named {
		if len(q.o.Buckets) > 0 && !slices.Contains(q.o.Buckets, o.bucket) {
			return fmt.Errorf("bucket %q is not one of those to be read", o.bucket)
		}
	}
	return nil
}

// holding is the messages that were received and are not deleted yet.
type holding struct {
	q    *Queue
	room chan struct{}
	wake chan struct{}

	mu       sync.Mutex
	held     map[string]bool // by receipt
	finished []string        // to be deleted
}

func (h *holding) hold(receipt string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[receipt] = true
	h.q.behind(int64(len(h.held)))
}

// release leaves a message to the queue.
func (h *holding) release(receipt string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, receipt)
	h.q.behind(int64(len(h.held)))
	signal(h.room)
}

// done has a message deleted. It does not block.
func (h *holding) done(receipt string) {
	h.release(receipt)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finished = append(h.finished, receipt)
	signal(h.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait returns when another message may be held.
func (h *holding) wait(ctx context.Context) error {
	for {
		h.mu.Lock()
		full := len(h.held) >= h.q.o.Held
		h.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.room:
		}
	}
}

// keep deletes what is done, and keeps the rest hidden, until the source ends.
// An error is told and otherwise of no consequence: the message comes again.
func (h *holding) keep(ctx context.Context) {
	t := time.NewTicker(h.q.o.Hidden / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			// What was taken just before is deleted all the same: a little time is left.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			h.delete(ctx)
			return
		case <-h.wake:
			h.delete(ctx)
		case <-t.C:
			h.prolong(ctx)
		}
	}
}

func (h *holding) delete(ctx context.Context) {
	h.mu.Lock()
	finished := h.finished
	h.finished = nil
	h.mu.Unlock()
	for some := range slices.Chunk(finished, atOnce) {
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &h.q.o.URL}
		for i := range some {
			in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &some[i]})
		}
		out, err := h.q.client.DeleteMessageBatch(ctx, in)
		if err == nil && len(out.Failed) > 0 {
			err = fmt.Errorf("%d messages were not deleted: %s", len(out.Failed), aws.ToString(out.Failed[0].Message))
		}
		if err != nil {
			h.q.problem(fmt.Errorf("delete messages: %w", err), h.q.o.Now())
		}
	}
}

func (h *holding) prolong(ctx context.Context) {
	h.mu.Lock()
	held := make([]string, 0, len(h.held))
	for receipt := range h.held {
		held = append(held, receipt)
	}
	h.mu.Unlock()
	for some := range slices.Chunk(held, atOnce) {
		in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &h.q.o.URL}
		for i := range some {
			in.Entries = append(in.Entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &some[i], VisibilityTimeout: int32(h.q.o.Hidden / time.Second),
			})
		}
		if _, err := h.q.client.ChangeMessageVisibilityBatch(ctx, in); err != nil && ctx.Err() == nil {
			h.q.problem(fmt.Errorf("keep messages hidden: %w", err), h.q.o.Now())
		}
	}
}
