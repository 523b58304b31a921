package guard

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// Texts that made a decoder look again and again at what it had read before.
var tedious = map[string]string{
	"pairs":        "00 ",
	"hexdump":      "00 ff 1b 7f 80 ",
	"addresses":    "00000000 ",
	"dumped lines": "00000010  7f 45 4c 46 02 01 01 00  00 00 00 00 00 00 00 00  |.ELF............|\n",
	"marked pairs": "0x00,",
	"escaped":      `\x00\x01`,
	"dots":         ".",
	"dots apart":   ". ",
	"rulers":       "--- ... ",
	"long Morse":   "------ ",
	"dashes":       "-",
	"contents":     "Chapter . . . . . . . . . . 12\n",
	"codes":        "105 300 ",
	"long codes":   "1 22 333 4444 ",
	"CSV":          "17,3.5,2024-11-02,0,0,1\n",
	"bits":         "0 1 ",
	"octets":       "01101001 0 ",
	"blocks":       "!!!!!!!!!!!!!!!!!!!!!!!! ",
	"letters":      "a b ",
	"leet":         "1gn0r3 ",
	"leet apart":   "1gn0r3 " + strings.Repeat("x", 130) + " ",
	"uuencode":     "-:6=N;W)E('1H:7,@\n",
	"percent":      "%41",
	"entities":     "&#65;",
	"ampersands":   "&",
	"backslashes":  `\`,
	"Braille":      "⠁⠃ ",
	"code words":   "alfa bravo ",
	"one word":     "alfa ------- ",
	"shifted":      "vtaber nyy cerivbhf ",
	"backwards":    "erongi suoiverp ",
	"invisible":    "a\u200b\u200c",
	"tags":         "\U000e0041\U000e0001",
	"base64":       "AAAAAAAAAAAAAAAA ",
	"mails":        "a@- ",
	"many mails":   "a@-",
}

// TestDecodingIsLinear counts what decoders look at: so many bytes for each byte
// of the text, however long it is and whatever is in it.
func TestDecodingIsLinear(t *testing.T) {
	e := decoding1(t)
	all := ""
	for _, part := range tedious {
		all += part
	}
	for name, part := range tedious {
		for _, mix := range [...]string{part, part + all, part + "x" + part} {
			text := strings.Repeat(mix, (64<<10)/len(mix)+1)[:64<<10]
			for range 3 {
				if got, most := stepsOf(e, text), mostSteps(text); got > most {
					t.Errorf("%s: %d steps for %d bytes that begin with %.40q, want at most %d", name, got, len(text), text, most)
				}
				if strings.Count(text, "A") < len(text)/2 {
					text = base64.StdEncoding.EncodeToString([]byte(text))
					continue
				}
				text = hex.EncodeToString([]byte(text))
			}
		}
	}
}

func FuzzDecodingIsLinear(f *testing.F) {
	e := decoding1(f)
	for _, part := range tedious {
		f.Add(part, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || len(a)+len(b) > 200 {
			return
		}
		text := strings.Repeat(a+b, 8<<10/len(a+b)+1)
		if got, most := stepsOf(e, text), mostSteps(text); got > most {
			t.Errorf("%d steps for %d bytes of %q and %q, want at most %d", got, len(text), a, b, most)
		}
	})
}

// stepsPerByte is how often a byte may be looked at. Each of two layers may be
// four times the text, and some thirty decoders look at it.
const stepsPerByte = 300

func mostSteps(text string) int { return stepsPerByte*len(text) + 64<<10 }

// decoding1 is an engine with a rule that looks into all that is hidden.
func decoding1(t testing.TB) *Engine {
	t.Helper()
	e, err := New(Options{Budget: 1 << 40, Rules: []Rule{
		{Name: "hidden", Action: Flag, Decode: true, Match: Cond{Keywords: []string{"ignore all previous"}, Detectors: []string{"encoded", "email"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// stepsOf is the work of judging text.
func stepsOf(e *Engine, text string) int {
	j := e.job()
	defer e.release(j)
	s := &j.scans[asSent]
	s.raw = append(s.raw, text...)
	s.end(0, segment{role: 1})
	j.judge(e.in, false, true)
	return j.clock.steps
}
