package arrive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"gatehouse/internal/event"
)

// FilesOptions say what is read and how. Zero values mean what the comments say.
type FilesOptions struct {
	Name   string       // of the source: "files"
	Paths  []string     // files, folders and globs; "-" is Stdin
	Stdin  io.Reader    // os.Stdin
	Strand event.Strand // what the records are; "": to be told record by record
	// Watch goes on with files that appear or grow. Otherwise each file is
	// delivered whole, once, and there is no cursor.
	Watch  bool
	Every  time.Duration    // how often to look: 1 s, less often where looking takes long
	Settle time.Duration    // what is no log is read once it has not changed for this long: 5 s
	Chunk  int64            // what is delivered of a log at once, and one line more: 64 MiB
	Now    func() time.Time // time.Now
}

// Files is the source of files. In folders, what AWS writes beside records is
// passed over, and so are names that begin with a dot.
//
// A watched file whose first line is whole, such as JSON lines, is a log: it is
// delivered as it grows, up to its last whole line; a line that stays unfinished
// is delivered when the file has settled, and again once it is whole. Any other
// file, an archive or a document of many lines, is delivered when it has
// settled, and anew, as a whole, if it changes.
type Files struct {
	meter
	o       FilesOptions
	folders map[string]bool // of the last whole look; nil before the first. Run's
}

// NewFiles makes the source; nothing is looked at before Run.
func NewFiles(o FilesOptions) *Files {
	o.Name = cmp.Or(o.Name, "files")
	o.Every = cmp.Or(o.Every, time.Second)
	o.Settle = cmp.Or(o.Settle, 5*time.Second)
	o.Chunk = cmp.Or(o.Chunk, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	return &Files{o: o}
}

// Name implements [Source].
func (s *Files) Name() string { return s.o.Name }

// Run implements [Source]. Without Watch its error, after everything else was
// delivered, tells of paths that could not be read.
func (s *Files) Run(ctx context.Context, cursor string, deliver func(*Delivery) error) error {
	if !s.o.Watch {
		return s.once(ctx, deliver)
	}
	p, err := parsePositions(cursor)
	if err != nil {
		return fmt.Errorf("%s: %w", s.o.Name, err)
	}
	w := &watch{Files: s, p: p, deliver: deliver, last: cursor}
	for {
		began := time.Now()
		if err := w.pass(ctx); err != nil {
			return err
		}
		if err := pause(ctx, max(s.o.Every, 10*time.Since(began))); err != nil {
			return err
		}
	}
}

const maxToldErrors = 20

func (s *Files) once(ctx context.Context, deliver func(*Delivery) error) error {
	var told []error
	problem := func(err error) {
		s.problem(err, s.o.Now())
		if len(told) < maxToldErrors {
			told = append(told, err)
		}
	}
	for _, path := range s.o.Paths {
		if path == "-" {
			if err := s.stdin(deliver); err != nil {
				return err
			}
			continue
		}
		each := func(f found) error { return s.whole(ctx, f, deliver, problem) }
		if err := (&finder{each: each, problem: problem}).find([]string{path}); err != nil {
			return err
		}
	}
	return errors.Join(told...)
}

func (s *Files) stdin(deliver func(*Delivery) error) error {
	return s.hand(&Delivery{
		Origin: event.Origin{Name: "-"}, How: ByStdin, Strand: s.o.Strand, Received: s.o.Now(), Body: s.o.Stdin,
	}, deliver)
}

func (s *Files) whole(ctx context.Context, f found, deliver func(*Delivery) error, problem func(error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	file, err := os.Open(f.path)
	if err != nil {
		problem(err)
		return nil
	}
	defer file.Close()
	return s.hand(s.delivery(f.path, file, 0), deliver)
}

func (s *Files) delivery(path string, body io.Reader, off int64) *Delivery {
	return &Delivery{
		Origin: event.Origin{Name: path}, How: ByFile, Strand: s.o.Strand, Received: s.o.Now(), Body: body, Offset: off,
	}
}

// watch is one run over files that may change. It belongs to one goroutine.
type watch struct {
	*Files
	p       *positions
	deliver func(*Delivery) error
	stop    error     // of deliver
	last    string    // the cursor that was handed out last
	made    time.Time // when that was
	count   int       // deliveries and bytes since
	bytes   int64
}

// pass looks at everything once, in the order in which it changed: the floor of
// the positions depends on it.
func (w *watch) pass(ctx context.Context) error {
	began := w.o.Now()
	if w.p.Floor > began.UnixNano() { // the clock was set back: what comes now would look old
		w.p.Floor = 0
	}
	before := began.Add(-2 * time.Second).UnixNano()
	healthy := true
	problem := func(err error) {
		healthy = false
		w.problem(err, w.o.Now())
	}
	all, folders, err := w.find(ctx, problem)
	if err != nil {
		return fmt.Errorf("%s: %w", w.o.Name, err)
	}
	seen := make(map[string]bool, len(all))
	for i := range all {
		seen[all[i].id] = true
		if err := w.file(&all[i]); err != nil {
			problem(err)
		}
		if err := cmp.Or(w.stop, ctx.Err()); err != nil {
			return err
		}
		if len(w.p.Files) > 2*maxPositions {
			w.p.shrink(before)
		}
	}
	w.behind(w.left(all))
	if healthy { // a folder that cannot be read now is not gone
		w.p.forget(seen)
		w.well()
		w.folders = make(map[string]bool, len(folders))
		for _, id := range folders {
			w.folders[id] = true
		}
	}
	w.p.shrink(before)
	return nil
}

// find lists the files that may hold something new. Files that come with their
// whole folder look as old as they are, so those of a folder that is new count as
// new; but for a folder that was moved here while no one was looking.
func (w *watch) find(ctx context.Context, problem func(error)) (all []found, folders []string, err error) {
	f := finder{problem: problem}
	f.each = func(f found) error {
		if f.stream {
			problem(fmt.Errorf("%s is no plain file and cannot be watched", f.path))
		} else if f.moved || !w.p.done(&f) {
			all = append(all, f)
		}
		return ctx.Err()
	}
	f.folder = func(id string) bool {
		known := w.folders == nil || w.folders[id]
		folders = append(folders, id)
		return !known
	}
	err = f.find(w.o.Paths)
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(cmp.Compare(a.change, b.change), cmp.Compare(a.path, b.path)) })
	return all, folders, err
}

func (w *watch) left(all []found) (n int64) {
	for i := range all {
		if pos := w.p.Files[all[i].id]; pos != nil {
			n += max(all[i].size-max(pos.Off, pos.Tail), 0)
		}
	}
	return n
}

// file delivers what is new in one file. Its error is about the file.
func (w *watch) file(f *found) error {
	pos := w.p.Files[f.id]
	if pos != nil && pos.Size == f.size && pos.Mod == f.mod && !pos.waits() {
		pos.Path, pos.Change = f.path, f.change
		return nil
	}
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	now := w.o.Now()
	opened := look(f.path, info)
	if opened.id != f.id { // renamed in between; the next look tells
		return nil
	}
	*f = opened
	if pos, err = w.place(f, file, pos, now); err != nil {
		return err
	}
	settled := now.Sub(time.Unix(0, f.mod)) >= w.o.Settle || now.Sub(pos.since) >= w.o.Settle
	if err := w.read(f, file, pos, settled); err != nil {
		delete(w.p.Files, f.id) // the position may be ahead of what was delivered
		return err
	}
	return nil
}

func (w *watch) read(f *found, file *os.File, pos *position, settled bool) error {
	lines, err := isLog(file)
	if err != nil {
		return err
	}
	if lines {
		return w.log(f, file, pos, settled)
	}
	if !settled {
		pos.Off = 0 // so that it waits
		return nil
	}
	pos.Off, pos.Tail, pos.Whole = f.size, 0, true
	return w.part(file, pos, 0, f.size)
}

// place finds the position of a file, a new one where it is another than it was.
func (w *watch) place(f *found, file *os.File, pos *position, now time.Time) (*position, error) {
	if pos != nil {
		sum, n, err := head(file, pos.HeadN)
		if err != nil {
			return nil, err
		}
		if f.size < pos.Off || n != pos.HeadN || sum != pos.Head {
			pos = nil
		}
	}
	if pos == nil {
		pos = &position{}
		w.p.Files[f.id] = pos
	}
	if pos.since.IsZero() || pos.Size != f.size || pos.Mod != f.mod {
		pos.since = now
	}
	pos.Path, pos.Size, pos.Mod, pos.Change = f.path, f.size, f.mod, f.change
	return pos, nil
}

// log delivers whole lines, and what is behind them if nobody goes on writing it.
func (w *watch) log(f *found, file *os.File, pos *position, settled bool) error {
	if pos.Whole {
		pos.Off, pos.Whole = 0, false
	}
	for pos.Off < f.size && w.stop == nil {
		off := pos.Off
		end, err := lastLine(file, off, min(f.size, off+w.o.Chunk))
		if err == nil && end == off { // a line longer than a chunk
			end, err = lastLine(file, off, f.size)
		}
		if err != nil {
			return err
		}
		if end == off {
			break
		}
		pos.Off, pos.Tail = end, 0
		if err := w.part(file, pos, off, end); err != nil {
			return err
		}
	}
	if !pos.waits() || !settled || w.stop != nil {
		return nil
	}
	pos.Tail = f.size // and Off stays, to deliver the line again once it is whole
	return w.part(file, pos, pos.Off, f.size)
}

// part delivers the bytes from off to end; the position is behind them already.
// Making a cursor of many positions costs as much as a small file, so then a
// run of deliveries shares one that is older than it need be.
func (w *watch) part(file *os.File, pos *position, off, end int64) (err error) {
	if pos.Head, pos.HeadN, err = head(file, end); err != nil {
		return err
	}
	if off == end {
		return nil
	}
	w.count++
	w.bytes += end - off
	if len(w.p.Files) <= 64 || w.count >= 64 || w.bytes >= 16<<20 || time.Since(w.made) >= time.Second {
		w.last, w.made, w.count, w.bytes = w.p.cursor(), time.Now(), 0, 0
	}
	d := w.delivery(pos.Path, io.NewSectionReader(file, off, end-off), off)
	d.Cursor = w.last
	w.stop = w.hand(d, w.deliver)
	return nil
}

// isLog reports whether a file grows by lines: whether its first line is whole
// by itself.
func isLog(r io.ReaderAt) (bool, error) {
	b := make([]byte, 64<<10)
	n, err := r.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return false, err
	}
	b = b[:n]
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "\xff\xfe", "\xfe\xff", "["} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return false, nil
		}
	}
	line, _, whole := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")))
	if len(line) == 0 {
		return false, nil
	}
	switch line[0] {
	case '{':
		if !whole { // a long record, as invocations are; or a document on one line, which comes to the same
			return n == cap(b) || line[len(line)-1] == '}', nil
		}
		return line[len(line)-1] == '}', nil
	case '<':
		return whole && (bytes.HasSuffix(line, []byte("</Event>")) || bytes.HasSuffix(line, []byte("/>"))), nil
	}
	return whole, nil
}

// lastLine returns the end of the last whole line in the bytes from off to end,
// off if there is none.
func lastLine(r io.ReaderAt, off, end int64) (int64, error) {
	b := make([]byte, 64<<10)
	for end > off {
		from := max(off, end-int64(len(b)))
		n, err := r.ReadAt(b[:end-from], from)
		if err != nil && err != io.EOF {
			return off, err
		}
		if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return off, nil
}
