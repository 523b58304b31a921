package syntax

import (
	"os"
	"path/filepath"
	"testing"
)

// seedStages is how many stages each hunt of the seed has.
var seedStages = map[string]int{
	"H1": 5, "H2": 7, "H3": 5, "H4": 6, "H5": 6, "H6": 7, "H7": 3, "H8": 4, "H9": 4, "H10": 5, "H11": 7,
}

func seed(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "seed", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSeeds reads the eleven hunts as they were published.
func TestSeeds(t *testing.T) {
	for name, want := range seedStages {
		src := seed(t, name)
		q, err := Parse(src)
		if err != nil {
			t.Errorf("%s:\n%s", name, err.(Errors).Render(src))
			continue
		}
		if len(q.Stages) != want {
			t.Errorf("%s: %d stages, want %d", name, len(q.Stages), want)
		}
	}
}
