package emulator

// AI21 Jurassic-2, which cannot be streamed. It lists every token of prompt and
// answer, and that is how it tells their number.
var jurassic = shape{
	name: "jurassic", output: true, counts: true,
	words: [numStops]string{endTurn: "endoftext", maxTokens: "length", stopSequence: "stop"},
	read: func(c *call) *wireError {
		c.addStops(c.get(0, "stopSequences"))
		return firstError(c.prompt("prompt"), c.bound(0, "maxTokens"))
	},
	body: jurassicBody,
}

func jurassicBody(c *call, dst []byte) []byte {
	a := &c.answer
	dst = field(dst, `{"id":1234,"prompt":{"text":`, c.ask.promptText())
	dst = appendJurassicTokens(append(dst, `,"tokens":[`...), c.ask.promptText())
	dst = field(dst, `]},"completions":[{"data":{"text":`, a.text)
	dst = appendJurassicTokens(append(dst, `,"tokens":[`...), a.text)
	dst = field(dst, `]},"finishReason":{"reason":`, c.shape.word(a.stop))
	if a.stop == maxTokens {
		dst = number(dst, `,"length":`, a.usage.output)
	}
	return append(dst, `}}]}`...)
}

func appendJurassicTokens(dst, text []byte) []byte {
	for at := 0; at < len(text); {
		end := min(at+bytesPerToken, len(text))
		if at > 0 {
			dst = append(dst, ',')
		}
		dst = field(dst, `{"generatedToken":{"token":`, validUTF8(string(text[at:end])))
		dst = append(dst, `,"logprob":-0.5,"raw_logprob":-0.5},"topTokens":null`...)
		dst = number(dst, `,"textRange":{"start":`, int64(at))
		dst = append(number(dst, `,"end":`, int64(end)), `}}`...)
		at = end
	}
	return dst
}

// AI21 Jamba: OpenAI's form with fewer members.
var jamba = shape{
	name: "jamba", output: true, tools: true, counts: true, defaultMax: 4096, words: openAIWords,
	read: readOpenAI,
	body: func(c *call, dst []byte) []byte {
		dst = appendID(append(dst, `{"id":"chatcmpl-`...), &c.rng, 24)
		dst = append(c.appendChoice(append(dst, `","choices":[`...)), ']')
		return append(c.appendChatUsage(dst), '}')
	},
	stream: func(s *stream) { s.chatStream(``) },
}
