package clickhouse

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// server is where statements go and as whom.
type server struct {
	url            string // without a user
	database       string
	user, password string
}

// source is what "events" stands for.
type source struct {
	table      string
	files, s3  string // the folder or address that takes the root's place
	root       string
	collection string
	key        [2]string // id and secret
}

var dsnKeys = map[string]bool{"table": true, "files": true, "s3": true, "root": true, "s3_collection": true, "s3_keys": true, "password": true}

// parseDSN names in its errors the part that is wrong and never its value.
func parseDSN(dsn string) (server, source, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return server{}, source{}, errors.New("want http[s]://user:password@host:port/database")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return server{}, source{}, errors.New("its options are not key=value pairs")
	}
	for k, vs := range q {
		if !dsnKeys[k] || len(vs) > 1 {
			return server{}, source{}, fmt.Errorf("the option %q is unknown or given twice", k)
		}
	}
	s := server{url: u.Scheme + "://" + u.Host + "/", database: strings.Trim(u.Path, "/"), user: u.User.Username()}
	s.password, _ = u.User.Password()
	if name := q.Get("password"); name != "" {
		if s.password, err = secret(name); err != nil {
			return server{}, source{}, err
		}
	}
	src, err := parseSource(q)
	return s, src, err
}

func parseSource(q url.Values) (source, error) {
	s := source{table: q.Get("table"), files: q.Get("files"), s3: q.Get("s3"), root: q.Get("root"), collection: q.Get("s3_collection")}
	named := 0
	for _, v := range []string{s.table, s.files, s.s3} {
		if v != "" {
			named++
		}
	}
	switch {
	case named > 1:
		return s, errors.New("give one of table, files and s3")
	case named == 0:
		s.table = "events"
	}
	name := q.Get("s3_keys")
	if name == "" {
		return s, nil
	}
	text, err := secret(name)
	if err != nil {
		return s, err
	}
	lines := strings.Fields(text)
	if len(lines) != 2 {
		return s, errors.New("the file of s3_keys does not hold two lines")
	}
	s.key = [2]string(lines)
	return s, nil
}

// secret reads a small file without its last line's end.
func secret(name string) (string, error) {
	data, err := os.ReadFile(name)
	switch {
	case err != nil:
		return "", err
	case len(data) > 4096:
		return "", fmt.Errorf("%s is too long for a secret", name)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// secrets are the texts that no message may hold.
func (e *Engine) secrets() []string {
	return []string{e.server.password, e.source.key[1], e.source.key[0]}
}

// clean takes the secrets out of a message of the server's.
func (e *Engine) clean(message string) string {
	for _, s := range e.secrets() {
		if s != "" {
			message = strings.ReplaceAll(message, s, "[secret]")
		}
	}
	return message
}
