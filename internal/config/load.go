package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What bounds a file before it is parsed.
const (
	maxFile  = 256 << 10
	maxDepth = 16
)

// Flag is a value from the command line that stands over the file's.
type Flag struct {
	Name  string // as it was given, for errors: "--listen"
	Key   string // the key it stands for: "listen", "tls.mode"
	Value string
}

// Load reads the file at path, or takes the defaults when path is empty, puts
// the flags over it and checks the whole. The error tells why the file could
// not be read, or is an [Errors] holding every mistake. With those comes what is
// left without them: good for looking at the files that it names, never to run.
func Load(path string, flags ...Flag) (*Config, error) {
	if path == "" {
		return load("", nil, flags)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(path, f, flags...)
}

// Read is Load for what stands in r; files that it names are looked for beside name.
func Read(name string, r io.Reader, flags ...Flag) (*Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	return load(name, data, flags)
}

func load(path string, data []byte, flags []Flag) (*Config, error) {
	c := Default()
	d := decoder{file: path, at: map[string]place{}, unread: map[string]bool{}}
	if len(data) > maxFile {
		d.add(place{file: path}, fmt.Sprintf("the file is larger than %d KiB", maxFile>>10), "shorten it")
	} else if root := d.parse(data); root != nil {
		d.value(root, reflect.ValueOf(c).Elem(), field{})
	}
	c.rebase(filepath.Dir(path))
	for _, f := range flags {
		d.flag(c, f)
	}
	check(c, &d)
	if len(d.errs) > 0 {
		sortErrors(d.errs)
		d.prune(reflect.ValueOf(c).Elem(), reflect.ValueOf(Default()).Elem(), "")
		return c, d.errs
	}
	return c, nil
}

// prune takes out of v what was reported: a key goes back to its default, and
// an item of a list or an entry of a map goes as a whole, since half of one says
// something else. It tells whether it found any.
func (d *decoder) prune(v, standard reflect.Value, path string) (broken bool) {
	if d.unread[path] {
		v.Set(standard)
		return true
	}
	switch v.Kind() {
	case reflect.Struct:
		for sf, f := range v.Fields() {
			at := field{path: path}
			if name, opt, _ := strings.Cut(sf.Tag.Get("json"), ","); name != "" && opt != "embed" {
				at = at.child(name, "")
			}
			if sf.IsExported() && d.prune(f, standard.FieldByIndex(sf.Index), at.path) {
				broken = true
			}
		}
	case reflect.Slice:
		for i := v.Len() - 1; i >= 0; i-- {
			if d.prune(v.Index(i), reflect.Zero(v.Type().Elem()), fmt.Sprintf("%s[%d]", path, i)) {
				broken = true
				v.Set(reflect.AppendSlice(v.Slice3(0, i, i), v.Slice(i+1, v.Len())))
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(it.Value())
			if d.prune(entry, reflect.Zero(entry.Type()), path+"."+it.Key().String()) {
				broken = true
				v.SetMapIndex(it.Key(), reflect.Value{})
			}
		}
	}
	return broken
}

// rebase makes the file names of the file relative to its own directory.
func (c *Config) rebase(dir string) {
	rebase := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	c.eachFile(rebase)
	for i := range c.Telemetry.Sources {
		rebase(&c.Telemetry.Sources[i].Path)
	}
	if c.Telemetry.Bodies != "s3" {
		rebase(&c.Telemetry.Bodies)
	}
}

// Files lists the files that the configuration names.
func (c *Config) Files() (names []string) {
	c.eachFile(func(name *string) {
		if *name != "" {
			names = append(names, *name)
		}
	})
	slices.Sort(names)
	return names
}

func (c *Config) eachFile(each func(name *string)) {
	for _, name := range []*string{&c.TLS.Cert, &c.TLS.Key, &c.Record.KeyFile, &c.Network.Countries.Database, &c.LimitStore.PasswordFile,
		&c.Telemetry.SecretFile, &c.Telemetry.ASNDatabase, &c.Hunt.DSNFile} {
		each(name)
	}
	for _, list := range [][]string{c.Policy.Cedar, c.Guard.Rules} {
		for i := range list {
			each(&list[i])
		}
	}
	for i := range c.OIDC {
		o := &c.OIDC[i]
		each(&o.CAFile)
		if !strings.Contains(o.JWKS, "://") {
			each(&o.JWKS)
		}
	}
	for key, n := range c.Notify {
		old := [...]string{n.URLFile, n.SecretFile, n.PasswordFile}
		each(&n.URLFile)
		each(&n.SecretFile)
		each(&n.PasswordFile)
		if old != [...]string{n.URLFile, n.SecretFile, n.PasswordFile} { // others may read the map
			c.Notify[key] = n
		}
	}
}

// place is where a value was written.
type place struct {
	file      string
	line, col int
}

// field is a value's key path and the tags that apply to it.
type field struct {
	path        string
	enum, later []string
}

func (f field) child(name string, tag reflect.StructTag) field {
	c := field{path: name}
	if f.path != "" {
		c.path = f.path + "." + name
	}
	c.enum, c.later = split(tag.Get("enum")), split(tag.Get("later"))
	return c
}

// split returns the words of a tag.
func split(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, ",")
}

// choices are the words that one can write in this version.
func choices(enum, later []string) []string {
	return slices.DeleteFunc(slices.Clone(enum), func(w string) bool { return w == "" || slices.Contains(later, w) })
}

// decoder writes a syntax tree into a Config and collects what is wrong.
type decoder struct {
	file   string
	at     map[string]place // by key path
	unread map[string]bool  // key paths whose value is reported already
	errs   Errors
}

func (d *decoder) add(p place, what, next string) {
	d.errs = append(d.errs, &Error{File: p.file, Line: p.line, Col: p.col, What: what, Next: next})
}

func (d *decoder) addAt(n ast.Node, what, next string) { d.add(d.place(n.GetToken()), what, next) }

func (d *decoder) place(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{file: d.file}
	}
	return place{d.file, t.Position.Line, t.Position.Column}
}

// parse returns the file's one mapping, or nil when it is empty or broken.
func (d *decoder) parse(data []byte) ast.Node {
	tokens := lexer.Tokenize(string(data))
	if !d.tame(tokens) {
		return nil
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil
	}
	var root ast.Node
	for i, doc := range f.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.CommentType:
		case i > 0:
			d.addAt(doc.Body, "a second document", "keep one, without ---")
		default:
			root = doc.Body
		}
	}
	if root == nil {
		return nil
	}
	if _, ok := root.(ast.MapNode); !ok {
		d.addAt(root, "the file is not a mapping", "write keys such as `listen: 127.0.0.1:8080`")
		return nil
	}
	return root
}

func (d *decoder) syntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) {
		d.add(d.place(e.GetToken()), e.GetMessage(), "see `gatehouse config show` for the form")
		return
	}
	d.add(place{file: d.file}, err.Error(), "")
}

// tame refuses, before anything is built from them, the tokens that let a
// small file stand for a large one.
func (d *decoder) tame(tokens token.Tokens) bool {
	depth, before := 0, len(d.errs)
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType:
			d.add(d.place(t), "anchors, aliases, merge keys, tags and directives are not used", "write the value out, or quote it")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxDepth {
			d.add(d.place(t), fmt.Sprintf("nested deeper than %d", maxDepth), "")
			return false
		}
	}
	return len(d.errs) == before
}
