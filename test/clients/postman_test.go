package clients_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/test/process"
)

// TestPostman runs the collection of the chat API with newman against a server
// on embedded defaults, as a reader of the documentation would. Each assertion
// of the collection is a test.
func TestPostman(t *testing.T) {
	if os.Getenv("GATEHOUSE_CLIENTS") == "" {
		t.Skip("newman runs with GATEHOUSE_CLIENTS=1: make test installs it and sets it")
	}
	dir := t.TempDir()
	bin, report := filepath.Join(dir, "gatehouse"), filepath.Join(dir, "report.json")
	if err := process.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	p := launch(t, []string{bin, "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"})
	cmd := exec.CommandContext(t.Context(), "node", "js/node_modules/newman/bin/newman.js", "run",
		"../../docs/postman/gatehouse.postman_collection.json", "--env-var", "base-url="+p.URL(),
		"--reporters", "json", "--reporter-json-export", report)
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	out, runErr := cmd.CombinedOutput()
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("newman: %v\n%s", runErr, out)
	}
	assertions := 0
	for _, e := range readReport(t, data) {
		for _, a := range e.Assertions {
			assertions++
			t.Run(e.Item.Name+"/"+a.Assertion, func(t *testing.T) {
				if a.Error != nil {
					t.Error(a.Error.Message)
				}
			})
		}
		if e.RequestError != nil {
			t.Errorf("%s: %s", e.Item.Name, e.RequestError.Code)
		}
	}
	if assertions < 60 { // the quota's fifty included
		t.Errorf("%d assertions ran: the collection was not run to its end\n%s", assertions, out)
	}
}

// execution is one request of newman's report.
type execution struct {
	Item         struct{ Name string }
	RequestError *struct{ Code string }
	Assertions   []struct {
		Assertion string
		Error     *struct{ Message string }
	}
}

func readReport(t *testing.T, data []byte) []execution {
	t.Helper()
	var report struct {
		Run struct{ Executions []execution }
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	return report.Run.Executions
}
