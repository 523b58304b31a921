package arrive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"gatehouse/internal/event"
)

// GroupOptions say which log events are read. Zero values mean what the
// comments say.
type GroupOptions struct {
	Name   string // of the source: the group's
	AWS    AWS
	Group  string
	Strand event.Strand
	Follow bool          // go on with events that come later
	Every  time.Duration // how often to ask: 10 s
	Late   time.Duration // how late an event may come: 10 minutes
	Now    func() time.Time
}

// Group is the source of a log group of CloudWatch Logs, polled. It asks from a
// while before the newest event on, since events come late, and knows by hash
// what it has had. A group with more events than lateEvents in that while is
// asked from later on; such a group is better subscribed to, by Firehose.
type Group struct {
	meter
	o      GroupOptions
	client *cloudwatchlogs.Client
}

// NewGroup makes the source; nothing is asked for before Run.
func NewGroup(o GroupOptions) *Group {
	o.Name = cmp.Or(o.Name, o.Group)
	o.Every = cmp.Or(o.Every, 10*time.Second)
	o.Late = cmp.Or(o.Late, 10*time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Group{o: o}
	g.s.Behind = -1
	g.client = cloudwatchlogs.NewFromConfig(o.AWS.Config, func(c *cloudwatchlogs.Options) {
		if o.AWS.Endpoint != "" {
			c.BaseEndpoint = &o.AWS.Endpoint
		}
	})
	return g
}

// Name implements [Source].
func (g *Group) Name() string { return g.o.Name }

const (
	lateEvents = 4096    // that the cursor knows
	groupBatch = 1 << 20 // bytes of messages a delivery, and one more message
)

// moment is the cursor of a group, times in ms. Events before Floor are done,
// and so are those whose hashes are in Late.
type moment struct {
	Version int              `json:"v"`
	Floor   int64            `json:"floor,omitempty"`
	Newest  int64            `json:"newest,omitempty"`
	Late    map[string]int64 `json:"late,omitempty"` // when they were
}

func parseMoment(cursor string) (*moment, error) {
	m := &moment{Version: cursorVersion}
	if cursor != "" {
		if len(cursor) > maxCursor {
			return nil, errors.New("cursor is too long")
		}
		if err := json.Unmarshal([]byte(cursor), m); err != nil {
			return nil, fmt.Errorf("cursor: %w", err)
		}
	}
	if m.Version != cursorVersion || m.Floor < 0 {
		return nil, fmt.Errorf("cursor is of version %d from %d on, want %d", m.Version, m.Floor, cursorVersion)
	}
	if m.Late == nil {
		m.Late = make(map[string]int64)
	}
	return m, nil
}

// mark says that an event is done.
func (m *moment) mark(id string, at int64) {
	m.Newest = max(m.Newest, at)
	m.Late[keyHash(id)] = at
}

// shrink forgets the events that need not be known: those from long before the
// newest, and the oldest where there are too many. Events of the newest
// millisecond stay, since more of it may follow. The floor never passes the
// present: an event may say that it is of the future, and those of now must
// still be asked for. Too many of the future are forgotten, and come twice.
func (m *moment) shrink(late time.Duration, now int64) {
	floor := min(m.Newest, now) - late.Milliseconds()
	if len(m.Late) > lateEvents {
		times := slices.Sorted(maps.Values(m.Late))
		floor = max(floor, min(times[len(times)-lateEvents]+1, m.Newest, now))
	}
	m.Floor = max(m.Floor, floor)
	for h, at := range m.Late {
		if at < m.Floor || at > now && len(m.Late) > 4*lateEvents {
			delete(m.Late, h)
		}
	}
}

func (m *moment) cursor() string {
	b, _ := json.Marshal(m) // strings and numbers
	return string(b)
}

// Run implements [Source].
func (g *Group) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	m, err := parseMoment(cursor)
	if err != nil {
		return fmt.Errorf("%s: %w", g.o.Name, err)
	}
	for {
		if err := g.pass(ctx, m, deliver); err != nil || !g.o.Follow {
			return err
		}
		g.well()
		if err := pause(ctx, g.o.Every); err != nil {
			return err
		}
	}
}

// pass delivers what there is from the floor on. Pages come in order of time, so
// an event that is forgotten on the way has been passed; for that, the time that
// bounds the floor must not move within a pass.
func (g *Group) pass(ctx context.Context, m *moment, deliver func(*Delivery) error) error {
	now := g.o.Now().UnixMilli()
	m.shrink(g.o.Late, now)
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &g.o.Group, StartTime: aws.Int64(m.Floor)}
	var lines bytes.Buffer
	flush := func() error {
		m.shrink(g.o.Late, now)
		if lines.Len() == 0 {
			return nil
		}
		defer lines.Reset()
		return g.hand(&Delivery{
			Origin: event.Origin{Name: g.o.Group}, How: ByCloudWatch, Strand: g.o.Strand, Received: g.o.Now(),
			Body: bytes.NewReader(lines.Bytes()), Cursor: m.cursor(),
		}, deliver)
	}
	for {
		out, err := g.client.FilterLogEvents(ctx, in)
		if err != nil {
			return cmp.Or(ctx.Err(), fmt.Errorf("%s: %w", g.o.Name, err))
		}
		for i := range out.Events {
			g.event(m, &out.Events[i], &lines)
			if lines.Len() >= groupBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := flush(); err != nil {
			return err
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return nil
		}
	}
}

func (g *Group) event(m *moment, e *types.FilteredLogEvent, lines *bytes.Buffer) {
	id, at := aws.ToString(e.EventId), aws.ToInt64(e.Timestamp)
	if _, known := m.Late[keyHash(id)]; known {
		return
	}
	m.mark(id, at)
	lines.WriteString(aws.ToString(e.Message))
	lines.WriteByte('\n')
}
