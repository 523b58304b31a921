package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/config"
	"gatehouse/internal/gateway/guard"
	"gatehouse/internal/query"
)

// What the documentation shows as configuration or rules is that: the names of
// files in it are not there, and nothing else is wrong with it.
func TestDocumentedYAML(t *testing.T) {
	files, _ := filepath.Glob("../../docs/*.md")
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	seen := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range blocks.FindAllSubmatch(text, -1) {
			seen++
			if strings.HasPrefix(string(m[1]), "# own.yaml") {
				rules, err := guard.Parse("own.yaml", m[1])
				if err == nil {
					_, err = guard.New(guard.Options{Rules: rules})
				}
				if err != nil {
					t.Errorf("%s: %v", file, err)
				}
				continue
			}
			if id, ok := strings.CutPrefix(string(m[1]), "id: "); ok {
				id = strings.Fields(id)[0]
				if _, err := query.ParseSaved(id+".yaml", m[1]); err != nil {
					t.Errorf("%s: %v", file, err)
				}
				continue
			}
			name := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(name, m[1], 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(name)
			if err == nil {
				continue
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.Contains(line, "no such file") {
					t.Errorf("%s: %s", file, line)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d blocks of YAML were found", seen)
	}
}
