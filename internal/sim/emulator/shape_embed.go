package emulator

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"gatehouse/internal/strictjson"
)

// The bounds of one embedding or rerank call.
const (
	maxEmbedTexts = 96
	maxDocuments  = 1000
	maxQueryWords = 100 // that are looked for
)

// readSize reads the dimensions asked for, which must be one of the sizes; the
// first is what there is without asking.
func (c *call) readSize(n node, key string, sizes ...int) *wireError {
	v, ok := c.int(n, key)
	if !ok {
		return errMalformed
	}
	c.ask.size = int(v)
	if v == 0 {
		c.ask.size = sizes[0]
	}
	if !slices.Contains(sizes, c.ask.size) {
		return mistyped(key, strconv.Itoa(c.ask.size)+" is not a valid enum value")
	}
	return nil
}

// vector fills dst with the embedding of a text: numbers of its own, of length
// one. Texts that are equal have equal vectors, and that is all it means.
func (c *call) vector(text []byte) []float64 {
	rng := rand.NewPCG(c.e.seed, hash64(hash64(hashStart, c.ref.ID), text))
	v, sum := make([]float64, c.ask.size), 0.0
	for i := range v {
		v[i] = float64(rng.Uint64()>>11)/(1<<52) - 1
		sum += v[i] * v[i]
	}
	for i := range v {
		v[i] /= math.Sqrt(sum)
	}
	return v
}

func appendVector(dst []byte, v []float64) []byte {
	dst = append(dst, '[')
	dst = appendList(dst, len(v), func(dst []byte, i int) []byte { return decimal(dst, v[i]) })
	return append(dst, ']')
}

// appendBits appends the binary form: one number a dimension, 0 or 1.
func appendBits(dst []byte, v []float64) []byte {
	dst = append(dst, '[')
	dst = appendList(dst, len(v), func(dst []byte, i int) []byte {
		if v[i] > 0 {
			return append(dst, '1')
		}
		return append(dst, '0')
	})
	return append(dst, ']')
}

// Titan embeddings: text v1, g1 and v2, and multimodal.
var titanEmbed = shape{
	name: "titan-embed", counts: true,
	read: func(c *call) *wireError {
		switch id := c.ref.ID; {
		case strings.HasPrefix(id, "amazon.titan-embed-image"):
			if !c.has(0, "inputText") && !c.has(0, "inputImage") {
				return missingKey("inputText")
			}
			if c.has(0, "inputImage") {
				c.ask.input += mediaTokens
			}
			c.addPrompt(c.get(0, "inputText"))
			return c.readSize(c.get(0, "embeddingConfig"), "outputEmbeddingLength", 1024, 384, 256)
		case strings.HasPrefix(id, "amazon.titan-embed-text-v2"):
			return firstError(c.prompt("inputText"), c.readSize(0, "dimensions", 1024, 512, 256))
		}
		c.ask.size = 1536
		return c.prompt("inputText")
	},
	body: func(c *call, dst []byte) []byte {
		v := c.vector(c.ask.text)
		dst = appendVector(append(dst, `{"embedding":`...), v)
		if strings.HasPrefix(c.ref.ID, "amazon.titan-embed-text-v2") {
			dst = c.appendTitanTypes(append(dst, `,"embeddingsByType":{`...), v)
		}
		return append(number(dst, `,"inputTextTokenCount":`, c.answer.usage.input), '}')
	},
}

func (c *call) appendTitanTypes(dst []byte, v []float64) []byte {
	types := c.get(0, "embeddingTypes")
	isBinary, isFloat := false, types == none
	c.each(types, func(t node) {
		isBinary = isBinary || c.doc.Is(t, "binary")
		isFloat = isFloat || c.doc.Is(t, "float")
	})
	if isBinary {
		dst = appendBits(append(dst, `"binary":`...), v)
	}
	if isBinary && isFloat {
		dst = append(dst, ',')
	}
	if isFloat {
		dst = appendVector(append(dst, `"float":`...), v)
	}
	return append(dst, '}')
}

// Nova multimodal embeddings.
var novaEmbed = shape{
	name: "nova-embed", counts: true,
	read: func(c *call) *wireError {
		params := c.get(0, "singleEmbeddingParams")
		if params == none {
			return missingKey("singleEmbeddingParams")
		}
		c.addPrompt(c.get(params, "text", "value"))
		if !c.has(params, "text") {
			c.ask.input += mediaTokens
		}
		return c.readSize(params, "embeddingDimension", 3072, 1024, 384, 256)
	},
	body: func(c *call, dst []byte) []byte {
		dst = append(dst, `{"embeddings":[{"embeddingType":"TEXT","embedding":`...)
		return append(appendVector(dst, c.vector(c.ask.text)), `}]}`...)
	},
}

// Cohere Embed v3 and v4.
var cohereEmbed = shape{
	name: "cohere-embed", counts: true,
	read: func(c *call) *wireError {
		texts := c.get(0, "texts")
		switch {
		case texts == none && !c.has(0, "images"):
			return missingKey("texts")
		case c.doc.Len(texts) > maxEmbedTexts:
			return errMalformed
		case !c.has(0, "input_type"):
			return missingKey("input_type")
		}
		c.each(c.get(0, "images"), func(node) { c.ask.input += mediaTokens })
		c.each(texts, func(t node) {
			c.addText(t)
			c.ask.inputs = append(c.ask.inputs, t)
		})
		if strings.HasPrefix(c.ref.ID, "cohere.embed-v4") {
			return c.readSize(0, "output_dimension", 1536, 1024, 512, 256)
		}
		c.ask.size = 1024
		return nil
	},
	body: func(c *call, dst []byte) []byte {
		typed := c.isList(c.get(0, "embedding_types"))
		open, closing, kind := `{"embeddings":[`, `],"id":"`, "embeddings_floats"
		if typed {
			open, closing, kind = `{"embeddings":{"float":[`, `]},"id":"`, "embeddings_by_type"
		}
		dst = appendList(append(dst, open...), len(c.ask.inputs), func(dst []byte, i int) []byte {
			text, _ := c.doc.AppendString(nil, c.ask.inputs[i])
			return appendVector(dst, c.vector(text))
		})
		dst = field(c.appendUUID(append(dst, closing...)), `","response_type":`, kind)
		dst = append(dst, `,"texts":[`...)
		dst = appendList(dst, len(c.ask.inputs), func(dst []byte, i int) []byte {
			return append(dst, c.doc.Raw(c.ask.inputs[i])...)
		})
		return append(dst, `]}`...)
	},
}

// TwelveLabs Marengo, in the form that answers at once.
var marengo = shape{
	name: "marengo", counts: true,
	read: func(c *call) *wireError {
		c.addPrompt(c.get(0, "inputText"))
		if !c.has(0, "inputText") {
			c.ask.input += mediaTokens
		}
		c.ask.size = 1024
		return nil
	},
	body: func(c *call, dst []byte) []byte {
		dst = appendVector(append(dst, `{"data":[{"embedding":`...), c.vector(c.ask.text))
		return append(dst, `}]}`...)
	},
}

// Amazon and Cohere rerank: a document's relevance is the share of the query's
// words that it has.
var rerank = shape{
	name: "rerank",
	read: func(c *call) *wireError {
		if !c.has(0, "query") {
			return missingKey("query")
		}
		documents := c.get(0, "documents")
		if !c.isList(documents) || c.doc.Len(documents) > maxDocuments {
			return missingKey("documents")
		}
		c.addPrompt(c.get(0, "query"))
		c.each(documents, func(d node) {
			c.addContent(d)
			c.ask.inputs = append(c.ask.inputs, d)
		})
		n, ok := c.int(0, "top_n")
		if !ok || n < 0 {
			return errMalformed
		}
		c.ask.count = len(c.ask.inputs)
		if n > 0 {
			c.ask.count = min(c.ask.count, int(n))
		}
		return nil
	},
	body: func(c *call, dst []byte) []byte {
		ranks := c.rank()[:c.ask.count]
		dst = append(dst, `{"results":[`...)
		dst = appendList(dst, len(ranks), func(dst []byte, i int) []byte {
			dst = number(dst, `{"index":`, int64(ranks[i].index))
			return append(decimal(append(dst, `,"relevance_score":`...), ranks[i].score), '}')
		})
		return append(dst, `]}`...)
	},
}

type rank struct {
	index int
	score float64
}

func (c *call) rank() []rank {
	words := bytes.Fields(bytes.ToLower(c.ask.promptText()))
	words = words[:min(len(words), maxQueryWords)]
	ranks := make([]rank, len(c.ask.inputs))
	for i, d := range c.ask.inputs {
		text := c.doc.Raw(d)
		if c.doc.Kind(d) == strictjson.String {
			text, _ = c.doc.AppendString(nil, d)
		}
		ranks[i] = rank{i, overlap(words, bytes.ToLower(text))}
	}
	slices.SortStableFunc(ranks, func(a, b rank) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	return ranks
}

func overlap(words [][]byte, text []byte) float64 {
	met := 0
	for _, w := range words {
		if bytes.Contains(text, w) {
			met++
		}
	}
	return float64(met) / float64(max(len(words), 1))
}
