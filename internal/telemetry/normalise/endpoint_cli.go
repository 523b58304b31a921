package normalise

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// A command line reaches us in two shapes: as arguments, or as one string that
// some sensor made of them. The string may be joined by commas (Jamf) or by
// spaces, with its quotes (Windows) or, mostly, without. What is read here is
// therefore a best effort with one rule: only what stands where a command
// stands is a command. "grep aws bedrock" is no call of the AWS CLI.
const (
	cliMaxLine  = 64 << 10 // bytes of a command line that are looked at
	cliMaxWords = 4096     // and words of it
	cliMaxDepth = 4        // shells within shells
)

// CLI finds the call of the AWS CLI in a command line: its service, and its
// verb, which is the operation as far as its first dash (list, get, invoke,
// converse; cp of "s3 cp"). A verb is "" when the call names none. The
// arguments win over the line when there are any. In a script of several calls
// the first to a Bedrock service counts, or else the first.
func CLI(commandLine string, argv []string) (service, verb string, ok bool) {
	var c cliCall
	switch {
	case len(argv) > 0:
		if slices.ContainsFunc(argv, mentionsCLI[string]) {
			c.command(argv[:min(len(argv), cliMaxWords)], 0)
		}
	case mentionsCLI(commandLine):
		c.line(commandLine)
	}
	return c.service, c.verb, c.service != ""
}

// mentionsCLI costs nothing and turns most command lines away. A PowerShell
// may hide the rest in base64.
func mentionsCLI[T string | []byte](s T) bool {
	s = s[:min(len(s), cliMaxLine)]
	return containsFold(s, "aws") || containsFold(s, "powershell") || containsFold(s, "pwsh")
}

// containsFold reports whether s contains lower in any case. lower has letters
// only.
func containsFold[T string | []byte](s T, lower string) bool {
next:
	for i := 0; i+len(lower) <= len(s); i++ {
		for j := range len(lower) {
			if s[i+j]|0x20 != lower[j] {
				continue next
			}
		}
		return true
	}
	return false
}

// cliCall is the best call found so far.
type cliCall struct{ service, verb string }

func (c *cliCall) found(service, verb string) {
	if c.service == "" || isBedrock(service) && !isBedrock(c.service) {
		c.service, c.verb = service, verb
	}
}

func isBedrock(service string) bool { return strings.HasPrefix(service, "bedrock") }

func (c *cliCall) line(s string) {
	s = strings.TrimSpace(s[:min(len(s), cliMaxLine)])
	if words := strings.SplitN(s, ",", cliMaxWords); len(words) > 1 && startsCommand(words[0]) {
		c.command(words, 0)
		return
	}
	c.script(s, 0)
}

// script reads a text as a shell would, command by command.
func (c *cliCall) script(s string, depth int) {
	if depth > cliMaxDepth {
		return
	}
	words := 0
	for s != "" && words < cliMaxWords {
		var command []string
		command, s = shellCommand(s)
		words += len(command) + 1
		c.command(command, depth)
	}
}

// command reads one command: assignments and launchers are passed, a shell is
// entered, and what is left is the AWS CLI or nothing of ours.
func (c *cliCall) command(words []string, depth int) {
	for len(words) > 0 {
		if isAssignment(words[0]) || words[0] == "&" {
			words = words[1:]
			continue
		}
		name := program(words[0])
		if isAWS(name) {
			c.aws(words[1:])
			return
		}
		l, known := launchers[name]
		if !known {
			return
		}
		rest := words[1:]
		if l.shell {
			c.script(l.scriptOf(rest), depth+1)
			return
		}
		words = l.skip(rest)
	}
}

// aws reads the arguments of the AWS CLI.
func (c *cliCall) aws(args []string) {
	service, args := nextWord(args)
	if service == "" || service == "help" {
		return
	}
	operation, _ := nextWord(args)
	verb, _, _ := strings.Cut(operation, "-")
	c.found(service, verb)
}

// nextWord passes the options that may stand anywhere in a call of the AWS CLI
// and gives the next word, or "" when what follows is none.
func nextWord(args []string) (string, []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") {
			if !isCLIWord(a) {
				return "", nil
			}
			return a, args[i+1:]
		}
		if slices.Contains(awsValueOptions, a) {
			i++
		}
	}
	return "", nil
}

// awsValueOptions are the global options of the AWS CLI whose value is the next
// word.
var awsValueOptions = []string{
	"--profile", "--region", "--output", "--endpoint-url", "--query", "--ca-bundle", "--color",
	"--cli-read-timeout", "--cli-connect-timeout", "--cli-binary-format", "--cli-error-format",
}

// isCLIWord says whether a could be a service or an operation.
func isCLIWord(a string) bool {
	for i, r := range a {
		if r >= 'a' && r <= 'z' || i > 0 && (r >= '0' && r <= '9' || r == '-') {
			continue
		}
		return false
	}
	return a != "" && len(a) <= 128
}

func isAWS(name string) bool {
	switch name {
	case "aws", "aws2", "awscli", "aws.py", "aws-script.py":
		return true
	}
	return false
}

// program gives the name of a command: no folder, no .exe, no login shell's
// dash, lower case.
func program(word string) string {
	word = strings.Trim(word, `"'`)
	if i := strings.LastIndexAny(word, `/\`); i >= 0 {
		word = word[i+1:]
	}
	word = strings.ToLower(strings.TrimPrefix(word, "-"))
	for _, ext := range []string{".exe", ".cmd", ".bat"} {
		word = strings.TrimSuffix(word, ext)
	}
	if v, ok := strings.CutPrefix(word, "python"); ok && strings.Trim(v, "0123456789.w") == "" {
		return "python"
	}
	return word
}

// startsCommand says whether word, as far as the first comma of a line, can be
// the first of arguments that were joined by commas.
func startsCommand(word string) bool {
	name := program(word)
	_, known := launchers[name]
	return (known || isAWS(name) || isAssignment(word)) && !strings.ContainsAny(word, " \t")
}

// isAssignment recognises NAME=value before a command.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	for i, r := range name {
		if r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9' {
			continue
		}
		return false
	}
	return ok && name != ""
}

// A launcher is a program whose arguments are another command.
type launcher struct {
	value string // its options that take the next word, space separated
	words int    // how many words of its own precede the command
	dash  bool   // the command is what follows "--"
	image bool   // the next word is a container's image
	// A shell takes its script as text, after one of these options.
	shell  bool
	script string
	base64 bool // or in base64
}

// launchers are the programs that stand before the AWS CLI. Options that are
// not listed are taken to have no value.
var launchers = map[string]launcher{
	"sudo":       {value: "-u -g -h -p -C -T -U -r -t -D -R --user --group --host --chdir"},
	"doas":       {value: "-u -C"},
	"env":        {value: "-u -C --unset --chdir"},
	"do":         {}, // a shell's words, which stand where a command does
	"then":       {},
	"else":       {},
	"if":         {},
	"while":      {},
	"until":      {},
	"!":          {},
	"{":          {},
	"nohup":      {},
	"time":       {value: "-f -o"},
	"nice":       {value: "-n --adjustment"},
	"ionice":     {value: "-c -n"},
	"setsid":     {},
	"exec":       {value: "-a"},
	"command":    {},
	"eval":       {},
	"caffeinate": {value: "-t -w"},
	"stdbuf":     {value: "-i -o -e"},
	"timeout":    {value: "-s -k --signal --kill-after", words: 1},
	"watch":      {value: "-n --interval"},
	"xargs":      {value: "-n -P -I -L -d -a -s -E"},
	"arch":       {value: "-d -e"},
	"python":     {value: "-W -X"},
	"pypy3":      {},
	"uv":         {value: "--with --from --python -p", words: 1},
	"uvx":        {value: "--with --from --python -p"},
	"pipx":       {value: "--spec --python", words: 1},
	"aws-vault":  {dash: true},
	"aws-okta":   {dash: true},
	"saml2aws":   {dash: true},
	"chamber":    {dash: true},
	"op":         {dash: true},
	"granted":    {dash: true},
	"assume":     {dash: true},
	"docker":     {image: true},
	"podman":     {image: true},
	"nerdctl":    {image: true},
	"sh":         {shell: true, script: "-c"},
	"bash":       {shell: true, script: "-c"},
	"zsh":        {shell: true, script: "-c"},
	"dash":       {shell: true, script: "-c"},
	"ash":        {shell: true, script: "-c"},
	"ksh":        {shell: true, script: "-c"},
	"fish":       {shell: true, script: "-c --command"},
	"su":         {shell: true, script: "-c --command"},
	"cmd":        {shell: true, script: "/c /k /r"},
	"powershell": {shell: true, script: "-c -co -com -comm -command", base64: true},
	"pwsh":       {shell: true, script: "-c -co -com -comm -command", base64: true},
}

// skip gives the command that follows a launcher's own arguments.
func (l launcher) skip(args []string) []string {
	if l.dash {
		if i := slices.Index(args, "--"); i >= 0 {
			return args[i+1:]
		}
		return nil
	}
	if l.image {
		return containerCommand(args)
	}
	own := l.words
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "--":
		case strings.HasPrefix(a, "-") && len(a) > 1:
			if slices.Contains(strings.Fields(l.value), a) {
				i++
			}
		case own > 0:
			own--
		default:
			return args[i:]
		}
	}
	return nil
}

// containerCommand finds the image of the AWS CLI, whose entry point is the
// CLI itself, or a command that names it after any image.
func containerCommand(args []string) []string {
	for i, a := range args {
		image := a[strings.LastIndexByte(a, '/')+1:]
		if i := strings.IndexAny(image, ":@"); i >= 0 {
			image = image[:i]
		}
		if image == "aws-cli" {
			return append([]string{"aws"}, args[i+1:]...)
		}
		if a == "aws" {
			return args[i:]
		}
	}
	return nil
}

// scriptOf gives the script that a shell was started with. Where a sensor
// joined the arguments without quotes the rest of the line is the script.
func (l launcher) scriptOf(args []string) string {
	for i, a := range args {
		option := strings.ToLower(a)
		if l.runsScript(option) {
			return strings.Join(args[i+1:], " ")
		}
		if l.base64 && i+1 < len(args) && len(option) > 1 && (option == "-ec" || strings.HasPrefix("-encodedcommand", option)) {
			return decodePowerShell(args[i+1])
		}
	}
	if i := slices.IndexFunc(args, func(a string) bool { return a[:min(len(a), 1)] != "-" }); i >= 0 && l.base64 {
		return strings.Join(args[i:], " ") // PowerShell takes words for a command
	}
	return ""
}

// runsScript knows "-c", also among letters ("-lc").
func (l launcher) runsScript(option string) bool {
	if slices.Contains(strings.Fields(l.script), option) {
		return true
	}
	return l.script == "-c" && len(option) > 2 && len(option) < 6 && option[0] == '-' && option[1] != '-' && strings.HasSuffix(option, "c")
}

// decodePowerShell reads base64 of UTF-16; what is none gives nothing to read.
func decodePowerShell(s string) string {
	b, err := base64.StdEncoding.DecodeString(s[:min(len(s), cliMaxLine)])
	if err != nil {
		return ""
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
