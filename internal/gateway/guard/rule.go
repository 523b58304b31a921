package guard

// A Rule says what a text must not hold, and what is done about one that does.
// Rules are data: they come from files (see [Parse]) or are built in Go, and
// [New] compiles them.
type Rule struct {
	Name      string // [a-z0-9._-], unique; of two with one name the first counts
	Title     string // one line for people
	Why       string // what it is for, and what it is known to miss
	Action    Action
	Direction Direction
	Roles     []string // whose texts: user, assistant, system, tool, other; empty: all
	Match     Cond
	Decode    bool   // also look into decoded forms of the text
	Exact     bool   // match the text as it was sent, case and all, not its folded form
	Message   string // to the caller of a blocked call; empty: a general one
	Tags      []string
	Observe   bool // note what would have been done, and do nothing
	At        Place
}

// Action is what a rule does with what it finds.
type Action string

// The actions. Off is for [Options.Actions] and for files: the rule is as if it
// were not there.
const (
	Block Action = "block"
	Mask  Action = "mask"
	Flag  Action = "flag"
	Off   Action = "off"
)

// Direction is which texts a rule judges: prompts, answers or both.
type Direction string

// The directions.
const (
	In   Direction = "in"
	Out  Direction = "out"
	Both Direction = "both"
)

// Cond is what a rule looks for. All that stands in one Cond are alternatives:
// it finds what any of them finds. What it finds are stretches of text, so that
// All and Then can ask for several of them near each other.
//
// Texts are matched folded (see [Fold]): lower case, without accents and
// invisible characters, look-alikes and compatibility forms as plain letters, a
// run of white space as one space, or as one line break when it has one. Keywords
// and the letters of patterns are folded in the same way, so write them as usual.
type Cond struct {
	// Keywords are words or phrases, found at word boundaries (where the
	// script has any). A * at the end stands for any ending of the word, one at
	// the beginning for any beginning. A space also matches a line break. In a
	// file, $name stands for all entries of the list of that name under "words".
	Keywords []string
	// Patterns are RE2. A space also matches a line break, ^ and $ are the ends
	// of a line, dot is anything but a line break. A match of more than 512
	// bytes may go unseen. A pattern should contain some word of three letters
	// or more that every match has: it is run only near it.
	Patterns []string
	// Detectors are built in; see [Detectors]. "score:NAME" asks a Scorer, and
	// finds the part of the text, of up to 2 KiB, that scores Threshold or more.
	Detectors []string
	Threshold float64 // of score detectors, over 0 to 1; 0: 0.5
	// MinLength finds a text, or a user's last turn, of so many bytes or more.
	MinLength int

	Any  []Cond // what any of these finds
	All  []Cond // from the first to the last of a group in which each of these finds something, Within bytes
	Then []Cond // the same, in this order
	// Within is how many bytes of folded text a group of All or Then may span,
	// and how near Unless works. 0: 160. At most 512.
	Within int
	// Unless drops what was found when one of these finds something within
	// Within bytes of it.
	Unless []Cond
}

// The bounds of rules.
const (
	maxReach      = 512                                                       // bytes of folded text that one match spans
	defaultWithin = 160                                                       // of a group
	maxRules      = 500                                                       // of one engine
	maxKeywords   = 20_000                                                    // of one engine
	maxKeyword    = 128                                                       // bytes
	maxPattern    = 4096                                                      // bytes
	maxProgram    = 5_000                                                     // instructions of one pattern
	maxPrograms   = 200_000                                                   // instructions of one engine
	maxNested     = 6                                                         // conditions in conditions
	maxFile       = 1 << 20                                                   // bytes of one rule file
	maxMessage    = 1_000                                                     // bytes
	defaultSay    = "This request was blocked by your organization's policy." // Message
)

// Place is where a rule was written; the zero value when in Go.
type Place struct {
	File string
	Line int
	Col  int
}

// Detectors are the names of the built-in detectors, and what each finds.
// "score:NAME" stands beside them.
var Detectors = map[string]string{
	"email":          "e-mail addresses",
	"phone":          "telephone numbers, international or as written in several countries",
	"card":           "payment card numbers: known prefixes, length and Luhn digit",
	"iban":           "bank accounts (IBAN) with valid check digits",
	"national_id":    "all of national_id:us, uk, de, fr, es, it, nl, br, in, pl",
	"aws_key":        "AWS access key ids, and secret access keys beside one",
	"private_key":    "private keys in PEM",
	"api_token":      "tokens of well-known services, and JSON web tokens",
	"unicode_tags":   "Unicode tag characters, which carry invisible text",
	"zero_width":     "invisible characters within words",
	"bidi":           "characters that override the direction of text",
	"mixed_script":   "words of letters of several scripts that look alike",
	"encoded":        "a stretch in base64, hex, percent, or another encoding, that decodes to words",
	"canary":         "the configured canary strings, also in decoded forms",
	"system_echo":    "in answers: a long part of the call's own system prompt",
	"national_id:us": "United States social security numbers",
	"national_id:uk": "United Kingdom national insurance numbers",
	"national_id:de": "German tax ids",
	"national_id:fr": "French social security numbers",
	"national_id:es": "Spanish DNI and NIE",
	"national_id:it": "Italian codice fiscale",
	"national_id:nl": "Dutch BSN",
	"national_id:br": "Brazilian CPF",
	"national_id:in": "Indian Aadhaar",
	"national_id:pl": "Polish PESEL",
}
