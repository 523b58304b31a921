package policy

import (
	"os"
	"strings"
	"testing"
)

// The policies that people copy from the documentation load as they stand.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, block := range strings.Split(string(page), "```cedar\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		if _, err := New(Options{Files: []File{{"access.md", text}}}); err != nil {
			t.Error(err)
		}
		blocks++
	}
	shippedExamples := ""
	for _, line := range strings.Split(shipped, "\n") { // the examples in the shipped policy's comment
		if rest, ok := strings.CutPrefix(line, "//   "); ok {
			shippedExamples += rest + "\n"
		}
	}
	if _, err := New(Options{Files: []File{{"default.cedar", all + shippedExamples}}}); err != nil || shippedExamples == "" {
		t.Errorf("the examples in default.cedar: %v", err)
	}
	if blocks == 0 {
		t.Error("no policies on the page")
	}
}
