package arrive

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"gatehouse/internal/event"
)

// BucketOptions say which objects are read. Zero values mean what the comments say.
type BucketOptions struct {
	Name   string // of the source: its s3:// address
	AWS    AWS
	Bucket string
	Prefix string
	Strand event.Strand
	Follow bool          // go on with objects that appear later
	Every  time.Duration // how often to list: 1 minute
	Most   int64         // bytes of an object: 2 GiB
	Now    func() time.Time
}

// Bucket is the source of the objects under a prefix, found by listing.
//
// AWS's logs lie under the date they are of, beneath account and region. So the
// folders that hold years are found first, and each is listed for itself, from
// the last key on: keys within it rise with time. For keys that come late the
// listing begins some keys earlier, and the cursor knows those by hash. The same
// is done in a folder without years, whose names must rise with time too; where
// they do not, or where there are many folders, use a Queue.
type Bucket struct {
	meter
	o   BucketOptions
	obj objects
}

// NewBucket makes the source; nothing is asked for before Run.
func NewBucket(o BucketOptions) *Bucket {
	o.Name = cmp.Or(o.Name, "s3://"+o.Bucket+"/"+o.Prefix)
	o.Every = cmp.Or(o.Every, time.Minute)
	o.Most = cmp.Or(o.Most, maxObject)
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Bucket{o: o}
	b.s.Behind = -1
	b.obj = objects{meter: &b.meter, client: o.AWS.s3(), strand: o.Strand, most: o.Most, now: o.Now}
	return b
}

// Name implements [Source].
func (b *Bucket) Name() string { return b.o.Name }

const (
	maxPlaces   = 4096 // folders of one source
	maxDepth    = 12   // of folders above years
	lateKeys    = 4096 // keys the cursor knows, of all folders
	passesAFind = 10   // listings between two searches for folders
)

// places is the cursor of a bucket.
type places struct {
	Version int               `json:"v"`
	Places  map[string]*place `json:"places,omitempty"` // by prefix
}

// place is one folder. Keys up to Floor are done, and so are those behind it
// whose hashes are in Late.
type place struct {
	Floor string   `json:"floor,omitempty"`
	Late  []string `json:"late,omitempty"`
	Flat  bool     `json:"flat,omitempty"` // only what lies directly in it

	done   map[string]bool // Late, as a set
	window []string        // keys that are done, seen by this listing, in order
}

func parsePlaces(cursor string) (*places, error) {
	p := &places{Version: cursorVersion}
	if cursor != "" {
		if len(cursor) > maxCursor {
			return nil, errors.New("cursor is too long")
		}
		if err := json.Unmarshal([]byte(cursor), p); err != nil {
			return nil, fmt.Errorf("cursor: %w", err)
		}
	}
	if p.Version != cursorVersion {
		return nil, fmt.Errorf("cursor is of version %d, want %d", p.Version, cursorVersion)
	}
	if p.Places == nil {
		p.Places = make(map[string]*place)
	}
	for prefix, at := range p.Places {
		if at == nil {
			at = &place{}
			p.Places[prefix] = at
		}
		at.done = make(map[string]bool, len(at.Late))
		for _, h := range at.Late {
			at.done[h] = true
		}
	}
	return p, nil
}

func (p *places) cursor() string {
	for _, at := range p.Places {
		at.Late = at.Late[:0]
		for h := range at.done {
			at.Late = append(at.Late, h)
		}
		slices.Sort(at.Late)
	}
	b, _ := json.Marshal(p) // strings
	return string(b)
}

// mark says that a key is done; keys come in order. Beyond some, the oldest
// need no hash: nothing is looked for before them any more.
func (at *place) mark(key string, late int) {
	at.done[keyHash(key)] = true
	at.window = append(at.window, key)
	for len(at.window) > late {
		at.Floor = at.window[0]
		delete(at.done, keyHash(at.window[0]))
		at.window = at.window[1:]
	}
}

// seen forgets keys that the bucket no longer has, after a whole listing.
func (at *place) seen() {
	clear(at.done)
	for _, key := range at.window {
		at.done[keyHash(key)] = true
	}
	at.window = nil
}

func keyHash(key string) string {
	h := fnv.New64a()
	h.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, h.Sum64()))
}

// Run implements [Source].
func (b *Bucket) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	p, err := parsePlaces(cursor)
	if err != nil {
		return fmt.Errorf("%s: %w", b.o.Name, err)
	}
	for n := 0; ; n++ {
		if n%passesAFind == 0 {
			if err := b.find(ctx, p, b.o.Prefix, 0); err != nil {
				return fmt.Errorf("%s: %w", b.o.Name, err)
			}
		}
		if err := b.pass(ctx, p, deliver); err != nil || !b.o.Follow {
			return err
		}
		if err := pause(ctx, b.o.Every); err != nil {
			return err
		}
	}
}

func (b *Bucket) pass(ctx context.Context, p *places, deliver func(*Delivery) error) error {
	healthy := true
	for _, prefix := range slices.Sorted(maps.Keys(p.Places)) {
		ok, err := b.list(ctx, p, prefix, deliver)
		if err != nil {
			return err
		}
		healthy = healthy && ok
	}
	if healthy {
		b.well()
	}
	return nil
}

// find looks for the folders that hold years, and those that hold objects.
func (b *Bucket) find(ctx context.Context, p *places, prefix string, depth int) error {
	years, objects, below, err := b.look(ctx, prefix)
	if err != nil {
		return err
	}
	if at := p.Places[prefix]; at != nil {
		at.Flat = !years
	} else if years || objects {
		p.Places[prefix] = &place{Flat: !years, done: map[string]bool{}}
	}
	switch {
	case years: // what is below is listed with it
		return nil
	case len(p.Places)+len(below) > maxPlaces:
		return fmt.Errorf("more than %d folders under %s; name one below it, or use a queue", maxPlaces, b.o.Prefix)
	case depth == maxDepth && len(below) > 0:
		return fmt.Errorf("folders under %s are nested deeper than %d", b.o.Prefix, maxDepth)
	}
	for _, sub := range below {
		if err := b.find(ctx, p, sub, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// look lists what lies directly in a folder.
func (b *Bucket) look(ctx context.Context, prefix string) (years, objects bool, below []string, err error) {
	pages := s3.NewListObjectsV2Paginator(b.obj.client, &s3.ListObjectsV2Input{Bucket: &b.o.Bucket, Prefix: &prefix, Delimiter: aws.String("/")})
	for pages.HasMorePages() && !years && len(below) <= maxPlaces {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return false, false, nil, err
		}
		objects = objects || len(out.Contents) > 0
		for _, c := range out.CommonPrefixes {
			sub := aws.ToString(c.Prefix)
			if years = years || isYear(sub[len(prefix):]); !skipped(sub + "x") {
				below = append(below, sub)
			}
		}
	}
	return years, objects, below, nil
}

// isYear says whether a folder is one of a year, as 2026/.
func isYear(s string) bool {
	return len(s) == 5 && s[4] == '/' && (s[:2] == "19" || s[:2] == "20") && s[2] >= '0' && s[2] <= '9' && s[3] >= '0' && s[3] <= '9'
}

// list delivers the objects of one folder that are new. It is false when one of
// them could not be fetched; it is tried again by the next listing.
func (b *Bucket) list(ctx context.Context, p *places, prefix string, deliver func(*Delivery) error) (healthy bool, err error) {
	at := p.Places[prefix]
	in := &s3.ListObjectsV2Input{Bucket: &b.o.Bucket, Prefix: &prefix}
	if at.Floor != "" {
		in.StartAfter = &at.Floor
	}
	if at.Flat {
		in.Delimiter = aws.String("/")
	}
	late := min(max(lateKeys/len(p.Places), 16), 1024)
	healthy = true
	for pages := s3.NewListObjectsV2Paginator(b.obj.client, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return false, fmt.Errorf("%s: %w", b.o.Name, err)
		}
		for _, o := range out.Contents {
			key := aws.ToString(o.Key)
			if skipped(key) || aws.ToInt64(o.Size) == 0 {
				continue
			}
			if at.done[keyHash(key)] {
				at.mark(key, late)
				continue
			}
			ok, err := b.fetch(ctx, p, at, key, late, deliver)
			if err != nil {
				return false, err
			}
			healthy = healthy && ok
		}
	}
	at.seen()
	return healthy, nil
}

func (b *Bucket) fetch(ctx context.Context, p *places, at *place, key string, late int, deliver func(*Delivery) error) (bool, error) {
	handed := false
	err := b.obj.object(ctx, b.o.Bucket, key, Delivery{}, func(d *Delivery) error {
		handed = true
		at.mark(key, late)
		d.Cursor = p.cursor()
		return deliver(d)
	})
	switch {
	case errors.Is(err, errNotFetched) && ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errNotFetched):
		b.problem(err, b.o.Now())
		return false, nil
	case err == nil && !handed: // passed over for good
		at.mark(key, late)
	}
	return true, err
}
