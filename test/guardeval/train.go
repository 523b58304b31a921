package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gatehouse/internal/gateway/guard"
)

// Training is logistic regression: the weights that make the labels likeliest,
// kept small so that nothing is learnt by heart. It has no chance in it but a
// seeded generator, so the same corpus gives the same file, byte by byte, on the
// same kind of processor.
const (
	epochs      = 200
	leastWeight = 0.15  // what is less is left out of the file
	leastSeen   = 3     // samples that have a feature
	decay       = 0.001 // how much small weights are liked
	rate        = 0.5
	partLen     = 1800 // bytes of a long sample; the guard scores parts of up to 2 KiB
)

// sample is a text as the model sees it.
type sample struct {
	features []int
	attack   float64 // 1 or 0
}

// train returns a model of words that was trained on ps.
func train(words map[string][]string, ps []Prompt) (*guard.Model, error) {
	m, err := guard.NewModel(words)
	if err != nil {
		return nil, err
	}
	var samples []sample
	for _, t := range append(texts(ps), long(ps)...) {
		var f guard.Features
		m.Read(guard.Fold(nil, []byte(t.Text)), &f)
		s := sample{features: f.List()}
		if t.Label == attack {
			s.attack = 1
		}
		samples = append(samples, s)
	}
	dropRare(samples, len(m.Weights))
	descend(m, samples)
	return m, nil
}

// dropRare takes out what few samples have: it is about them, not about attacks.
func dropRare(samples []sample, features int) {
	n := make([]int, features)
	for _, s := range samples {
		for _, f := range s.features {
			n[f]++
		}
	}
	for i := range samples {
		samples[i].features = slices.DeleteFunc(samples[i].features, func(f int) bool { return n[f] < leastSeen })
	}
}

// texts leaves out the attacks whose words cannot be read as they stand: the
// guard decodes before it asks the model.
func texts(ps []Prompt) []Prompt {
	var out []Prompt
	for _, p := range ps {
		if p.Label != attack || !dressed[p.Style] {
			out = append(out, p)
		}
	}
	return out
}

var dressed = map[string]bool{"encoded": true, "unicode": true, "spacing": true}

// long makes long texts from short ones, so that the model knows what comes
// together by chance: of benign ones, and of benign ones with an attack in it.
func long(ps []Prompt) []Prompt {
	var good, bad []string
	for _, p := range texts(ps) {
		if p.Label == attack {
			bad = append(bad, p.Text)
		} else {
			good = append(good, p.Text)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	var out []Prompt
	for i := range len(ps) / 2 {
		parts, n := []string{}, 0
		for want := 200 + r.IntN(partLen-200); n < want; {
			t := good[r.IntN(len(good))]
			parts, n = append(parts, t), n+len(t)+1
		}
		label := benign
		if i%3 == 0 && len(bad) > 0 {
			label = attack
			parts[r.IntN(len(parts))] = bad[r.IntN(len(bad))]
		}
		out = append(out, Prompt{Label: label, Text: strings.Join(parts, "\n")})
	}
	return out
}

// descend follows the gradient with a step of its own for each weight (Adagrad).
func descend(m *guard.Model, samples []sample) {
	w, g2 := make([]float64, len(m.Weights)), make([]float64, len(m.Weights))
	bias, b2 := 0.0, 1e-8
	grad, most := make([]float64, len(w)), ceilings(m)
	for range epochs {
		clear(grad)
		gb := 0.0
		for _, s := range samples {
			sum := bias
			for _, f := range s.features {
				sum += w[f]
			}
			e := 1/(1+math.Exp(-sum)) - s.attack
			if s.attack == 0 {
				e *= benignWeight
			}
			gb += e
			for _, f := range s.features {
				grad[f] += e
			}
		}
		n := float64(len(samples))
		for f := range w {
			g := grad[f]/n + decay*w[f]
			if g2[f] += g * g; g != 0 {
				w[f] = min(w[f]-rate*g/math.Sqrt(g2[f]+1e-10), most[f])
			}
		}
		gb /= n
		b2 += gb * gb
		bias -= rate * gb / math.Sqrt(b2)
	}
	for f := range w {
		if math.Abs(w[f]) >= leastWeight {
			m.Weights[f] = float32(w[f])
		}
	}
	m.Bias = float32(bias)
}

// ceilings are the largest weights of features. A concept with itself never
// speaks for an attack, and neither does the length of the text; a concept alone
// says little, or any text that talks to "you" would be half an attack.
func ceilings(m *guard.Model) []float64 {
	most := make([]float64, len(m.Weights))
	for f := range most {
		switch {
		case m.Alone(f):
			most[f] = mostAlone
		case m.Telling(f):
			most[f] = math.Inf(1)
		}
	}
	return most
}

// mostAlone is the most that a concept says which no other stands near.
const mostAlone = 0.7

// benignWeight is how much worse a false alarm is than a miss.
const benignWeight = 3
